//! Deals and how they move: through the stages, in amount, in date, from owner to owner.

use chrono::{Days, NaiveDate};
use ringlake_transform::Micros;
use serde_json::{Map, Value, json};

use super::Event;
use super::dice::{Dice, seconds};
use super::firm::{AGENTS, Agent, company, customer};
use super::freshsales_json::{Message, amount_number, amount_text, labeled, touched, user};
use super::templates::DEAL;

/// Name, forecast type and probability of the stages; each pipeline has its own ids for them.
const STAGES: &[(&str, &str, i64)] = &[
    ("New", "Open", 10),
    ("Qualified", "Open", 25),
    ("Proposal", "Open", 50),
    ("Negotiation", "Open", 75),
    ("Won", "Closed Won", 100),
    ("Lost", "Closed Lost", 0),
];
const NEGOTIATION: usize = 3;
const WON: usize = 4;
const LOST: usize = 5;

const PIPELINES: &[(i64, &str)] = &[(27_149, "Default Pipeline"), (27_150, "Renewals")];
/// Id, code and rate to the base currency, in ten-thousandths.
const CURRENCIES: &[(i64, &str, i64)] = &[(6_615, "USD", 10_000), (6_616, "EUR", 10_800)];
const REASONS: &[(i64, &str)] = &[(501, "Price"), (502, "Competitor"), (503, "No budget")];
const SUBJECTS: &[&str] = &["phones", "support plan", "migration", "seats", "pilot", "renewal"];

#[derive(Clone)]
pub struct Deal {
    pub id: i64,
    subject: &'static str,
    cents: i64,
    currency: usize,
    pub stage: usize,
    owner: usize,
    pipeline: usize,
    contact: i64,
    reason: Option<usize>,
    months: i64,
    expected: NaiveDate,
    created: Micros,
    updated: Micros,
    staged: Micros,
    closed: Option<NaiveDate>,
    won_from: Option<i64>,
    lost_from: Option<i64>,
}

impl Deal {
    pub fn new(id: i64, at: Micros, date: NaiveDate, dice: &mut Dice) -> Self {
        Self {
            id,
            subject: dice.pick(SUBJECTS).copied().unwrap_or_default(),
            cents: dice.length(9_000.0, 120_000) * 100 + if dice.chance(0.3) { 50 } else { 0 },
            currency: usize::from(dice.chance(0.35)),
            stage: 0,
            owner: dice.index(AGENTS.len()),
            pipeline: usize::from(dice.chance(0.25)),
            contact: dice.customer(),
            reason: None,
            months: dice.range(1, 36),
            expected: date + Days::new(dice.range(10, 90) as u64),
            created: at,
            updated: at,
            staged: at,
            closed: None,
            won_from: None,
            lost_from: None,
        }
    }

    pub fn is_closed(&self) -> bool {
        self.stage >= WON
    }

    /// What it is worth in the firm's own currency.
    fn base_cents(&self) -> i64 {
        let rate = CURRENCIES.get(self.currency).map_or(10_000, |currency| currency.2);
        self.cents * rate / 10_000
    }

    fn stage_id(&self, stage: usize) -> i64 {
        178_962 + 20 * self.pipeline as i64 + stage as i64
    }

    fn agent(&self) -> &'static Agent {
        AGENTS.get(self.owner).unwrap_or(&AGENTS[0])
    }

    pub fn created(&self) -> Event {
        self.event("onDealCreate", self.created, None)
    }

    /// Something happens to it.
    pub fn change(&mut self, at: Micros, date: NaiveDate, dice: &mut Dice) -> Event {
        let mut changes = Map::new();
        match dice.range(0, 99) {
            _ if self.is_closed() => self.reopen(at, &mut changes),
            0..55 => self.advance(at, date, dice, &mut changes),
            55..75 => self.reprice(dice, &mut changes),
            75..87 => self.slip(dice, &mut changes),
            87..94 => self.hand_over(dice, &mut changes),
            _ => self.extend_contract(dice, &mut changes),
        }
        touched(&mut changes, self.updated, at);
        self.updated = at;
        self.event("onDealUpdate", at, Some(changes))
    }

    fn advance(
        &mut self,
        at: Micros,
        date: NaiveDate,
        dice: &mut Dice,
        changes: &mut Map<String, Value>,
    ) {
        let lost = dice.chance(if self.stage == NEGOTIATION { 0.4 } else { 0.08 });
        let next = if lost { LOST } else { self.stage + 1 };
        let from = self.stage_id(self.stage);
        self.move_to(next, at, changes);
        if next < WON {
            return;
        }
        self.closed = Some(date);
        // The vendor tells a first closing date as a list of one.
        changes.insert("closed_date".to_owned(), json!([date.to_string()]));
        if lost {
            self.lost_from = Some(from);
            changes.insert("lost_from".to_owned(), json!([null, from]));
            self.reason = Some(dice.index(REASONS.len()));
            let reason = self.reason.and_then(|at| REASONS.get(at)).map(|reason| reason.0);
            changes.insert("deal_reason_id".to_owned(), json!([null, reason]));
        } else {
            self.won_from = Some(from);
            changes.insert("won_from".to_owned(), json!([null, from]));
        }
    }

    fn reopen(&mut self, at: Micros, changes: &mut Map<String, Value>) {
        let closed = self.closed.take().map(|date| date.to_string());
        changes.insert("closed_date".to_owned(), json!([closed, null]));
        (self.won_from, self.lost_from, self.reason) = (None, None, None);
        self.move_to(NEGOTIATION, at, changes);
    }

    fn move_to(&mut self, stage: usize, at: Micros, changes: &mut Map<String, Value>) {
        let pair = json!([self.stage_id(self.stage), self.stage_id(stage)]);
        changes.insert("deal_stage_id".to_owned(), pair);
        changes.insert("stage_updated_time".to_owned(), json!([seconds(self.staged), seconds(at)]));
        let probability = |stage: usize| STAGES.get(stage).map(|stage| stage.2);
        changes
            .insert("probability".to_owned(), json!([probability(self.stage), probability(stage)]));
        self.stage = stage;
        self.staged = at;
    }

    fn reprice(&mut self, dice: &mut Dice, changes: &mut Map<String, Value>) {
        let (before, base) = (self.cents, self.base_cents());
        self.cents = (before * dice.range(70, 140) / 100).max(100);
        let pair = |old, new| json!([amount_number(old), amount_number(new)]);
        changes.insert("amount".to_owned(), pair(before, self.cents));
        changes.insert("base_currency_amount".to_owned(), pair(base, self.base_cents()));
        changes.insert("expected_deal_value".to_owned(), pair(before, self.cents));
    }

    fn slip(&mut self, dice: &mut Dice, changes: &mut Map<String, Value>) {
        let before = self.expected;
        self.expected = before + Days::new(dice.range(3, 45) as u64);
        let pair = json!([before.to_string(), self.expected.to_string()]);
        changes.insert("expected_close".to_owned(), pair);
    }

    fn hand_over(&mut self, dice: &mut Dice, changes: &mut Map<String, Value>) {
        let before = self.agent().user_id;
        self.owner = (self.owner + 1 + dice.index(AGENTS.len() - 1)) % AGENTS.len();
        changes.insert("owner_id".to_owned(), json!([before, self.agent().user_id]));
    }

    fn extend_contract(&mut self, dice: &mut Dice, changes: &mut Map<String, Value>) {
        let before = self.months;
        self.months += dice.range(1, 12);
        let nested = json!({"cf_contract_months": [before, self.months]});
        changes.insert("custom_fields".to_owned(), nested);
    }

    fn event(&self, name: &str, at: Micros, changes: Option<Map<String, Value>>) -> Event {
        let message = Message {
            name: name.to_owned(),
            at,
            module: "deal",
            id: self.id,
            actor: self.agent(),
            record: self.record(),
            associations: self.associations(),
            changes,
        };
        message.event()
    }

    fn record(&self) -> Value {
        let owner = self.agent().user_id;
        let base = self.base_cents();
        let stage = STAGES.get(self.stage).copied().unwrap_or_default();
        let values = vec![
            ("deal_pipeline_id", json!(PIPELINES.get(self.pipeline).map(|pipeline| pipeline.0))),
            ("name", format!("{} {}", company(self.contact).0, self.subject).into()),
            ("owner_id", owner.into()),
            ("creator_id", owner.into()),
            ("updater_id", owner.into()),
            ("amount", amount_text(self.cents)),
            ("expected_deal_value", amount_text(self.cents)),
            ("base_currency_amount", amount_text(base)),
            ("currency_id", json!(CURRENCIES.get(self.currency).map(|currency| currency.0))),
            ("deal_stage_id", self.stage_id(self.stage).into()),
            ("probability", stage.2.into()),
            ("deal_reason_id", json!(self.reason.and_then(|at| REASONS.get(at)).map(|r| r.0))),
            ("sales_account_id", company(self.contact).1.into()),
            ("expected_close", self.expected.to_string().into()),
            ("closed_date", json!(self.closed.map(|date| date.to_string()))),
            ("stage_updated_time", seconds(self.staged).into()),
            ("created_at", seconds(self.created).into()),
            ("first_assigned_at", seconds(self.created).into()),
            ("last_assigned_at", seconds(self.created).into()),
            ("updated_at", seconds(self.updated).into()),
            ("age", 0.into()),
        ];
        let plain = json!({
            "id": self.id, "is_deleted": false, "import_id": null, "won_from": self.won_from,
            "lost_from": self.lost_from, "contact_ids": [customer(self.contact).id], "product_ids": [],
            "team_user_ids": [], "source_additional_info": {},
            "custom_fields": [{
                "name": "cf_contract_months", "label": "Contract (months)", "column": "cf_bigint01",
                "type": "number", "value": self.months,
            }],
        });
        labeled(DEAL, values, plain)
    }

    fn associations(&self) -> Value {
        let (stage, forecast, _) = STAGES.get(self.stage).copied().unwrap_or_default();
        let (pipeline, pipeline_name) = PIPELINES.get(self.pipeline).copied().unwrap_or_default();
        let (currency, code, rate) = CURRENCIES.get(self.currency).copied().unwrap_or_default();
        let reason = self.reason.and_then(|at| REASONS.get(at));
        let (company, account) = company(self.contact);
        let person = customer(self.contact);
        let owner = user(self.agent());
        json!({
            "source": null, "deal_payment_status": null, "campaign": null, "territory": null,
            "deal_product": null, "deal_type": null, "team_users": [], "products": [],
            "deal_pipeline": {"id": pipeline, "name": pipeline_name, "position": self.pipeline + 1,
                "is_default": self.pipeline == 0},
            "deal_stage": {"id": self.stage_id(self.stage), "name": stage, "position": self.stage + 1,
                "forecast_type": forecast},
            "currency": {"id": currency, "currency_code": code,
                "exchange_rate": (rate as f64 / 10_000.0).to_string()},
            "deal_reason": reason.map(|(id, name)| json!({"id": id, "name": name})),
            "contacts": [{"id": person.id, "first_name": person.first_name, "last_name": person.last_name,
                "mobile_number": person.number}],
            "sales_account": {"id": account, "name": company},
            "owner": owner, "creator": owner, "updater": owner,
        })
    }
}

//! Freshsales' part of the day: deals on their way, and the contacts, accounts, tasks, appointments
//! and custom records around them.

use chrono::NaiveDate;
use ringlake_transform::Micros;
use serde_json::{Map, Value, json};

use super::deals::Deal;
use super::dice::{Dice, SECOND, seconds, start_of};
use super::firm::{AGENTS, Agent, company, customer};
use super::freshsales_json::{Message, amount_text, labeled, touched, user};
use super::templates::{CONTACT, CUSTOM_MODULE_RECORD, SALES_ACCOUNT};
use super::{Event, Vendor};

/// Deals that are open before the first day.
const OPEN_BEFORE: i64 = 60;
/// An id beyond 2^53, as the vendor has them.
const MCR_ID: i64 = 1_270_375_514_142_703_601;

pub struct Freshsales {
    dice: Dice,
    deals: Vec<Deal>,
    next_deal: i64,
    next_id: i64,
}

impl Freshsales {
    pub fn new(mut dice: Dice, first_day: NaiveDate) -> Self {
        let mut deals = Vec::new();
        for n in 0..OPEN_BEFORE {
            let ago = dice.range(1, 60);
            let at = start_of(first_day) - ago * 86_400 * SECOND + dice.seconds(28_800, 61_200);
            let mut deal = Deal::new(1_357_500 + n, at, first_day, &mut dice);
            deal.stage = dice.index(4);
            deals.push(deal);
        }
        Self { dice, deals, next_deal: 1_357_500 + OPEN_BEFORE, next_id: 301_943 }
    }
}

impl Vendor for Freshsales {
    fn system(&self) -> &'static str {
        "freshsales"
    }

    fn day(&mut self, date: NaiveDate, calls: usize, out: &mut Vec<Event>) {
        self.work_on_deals(date, calls, out);
        for _ in 0..calls.div_ceil(20) {
            let at = self.dice.moment(date);
            self.contact(at, out);
            let later = at + self.dice.seconds(60, 1_200);
            self.activity(later, out);
        }
        for _ in 0..calls.div_ceil(60) {
            let at = self.dice.moment(date);
            self.account(at, out);
            let later = at + self.dice.seconds(60, 1_200);
            self.custom_record(later, out);
        }
        // Deals closed long ago are of no more interest, and memory must not grow with the days.
        let open = self.deals.iter().filter(|deal| !deal.is_closed()).count();
        let mut closed_to_keep = open.max(50);
        self.deals.reverse();
        self.deals.retain(|deal| {
            let keep = !deal.is_closed() || closed_to_keep > 0;
            closed_to_keep = closed_to_keep.saturating_sub(usize::from(deal.is_closed()));
            keep
        });
        self.deals.reverse();
    }
}

impl Freshsales {
    fn work_on_deals(&mut self, date: NaiveDate, calls: usize, out: &mut Vec<Event>) {
        let mut moments: Vec<Micros> =
            (0..calls.div_ceil(3)).map(|_| self.dice.moment(date)).collect();
        moments.sort_unstable();
        for at in moments {
            if self.dice.chance(0.18) {
                let deal = Deal::new(self.next_deal, at, date, &mut self.dice);
                self.next_deal += 1;
                out.push(deal.created());
                self.deals.push(deal);
                continue;
            }
            let index = self.dice.index(self.deals.len());
            let reopen = self.dice.chance(0.04);
            if let Some(deal) = self.deals.get_mut(index).filter(|deal| reopen || !deal.is_closed())
            {
                out.push(deal.change(at, date, &mut self.dice));
            }
        }
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn agent(&mut self) -> &'static Agent {
        self.dice.pick(&AGENTS).unwrap_or(&AGENTS[0])
    }

    fn contact(&mut self, at: Micros, out: &mut Vec<Event>) {
        let index = self.dice.customer();
        let (person, agent) = (customer(index), self.agent());
        let score = self.dice.range(0, 90);
        let associations = json!({
            "owner": user(agent), "creator": user(agent), "updater": user(agent), "source": null,
            "contact_status": null, "campaign": null, "territory": null, "team_users": [], "lists": [],
            "sales_accounts": [{"id": company(index).1, "name": company(index).0}],
        });
        let later = at + self.dice.seconds(30, 3_000);
        let mut changes = Map::new();
        changes.insert("job_title".to_owned(), json!([null, "Head of operations"]));
        changes.insert("lead_score".to_owned(), json!([score, score + 5]));
        touched(&mut changes, at, later);
        let new = contact_record(index, agent, at, (None, score, at));
        let head = contact_record(index, agent, at, (Some("Head of operations"), score + 5, later));
        let records = [new, head];
        self.pair(
            "Contact",
            "contact",
            person.id,
            agent,
            [at, later],
            records,
            associations,
            changes,
            out,
        );
    }

    fn account(&mut self, at: Micros, out: &mut Vec<Event>) {
        let index = self.dice.range(0, 11);
        let ((name, id), agent) = (company(index), self.agent());
        let site = format!("https://{}.example", name.to_lowercase().replace(' ', "-"));
        let build = |phone: Option<String>, updated: Micros| {
            let values = vec![
                ("name", name.into()),
                ("website", site.clone().into()),
                ("phone", json!(phone)),
                ("owner_id", agent.user_id.into()),
                ("creator_id", agent.user_id.into()),
                ("updater_id", agent.user_id.into()),
                ("annual_revenue", amount_text(250_000_000 + index * 1_000_000)),
                ("open_deals_amount", amount_text(0)),
                ("won_deals_amount", amount_text(0)),
                ("created_at", seconds(at).into()),
                ("updated_at", seconds(updated).into()),
            ];
            labeled(
                SALES_ACCOUNT,
                values,
                json!({
                    "id": id, "is_deleted": false, "status": "Active", "merged_to": 0, "import_id": null,
                    "avatar": null, "mcr_id": MCR_ID + id, "team_user_ids": [], "custom_fields": [],
                    "parent_owner_id": null, "parent_territory_id": null,
                }),
            )
        };
        let associations = json!({
            "owner": user(agent), "creator": user(agent), "updater": user(agent), "territory": null,
            "business_type": null, "parent_sales_account": null, "industry_type": null, "team_users": [],
        });
        let later = at + self.dice.seconds(30, 3_000);
        let phone = customer(index).number;
        let mut changes = Map::new();
        changes.insert("phone".to_owned(), json!([null, phone]));
        touched(&mut changes, at, later);
        let records = [build(None, at), build(Some(phone), later)];
        self.pair(
            "SalesAccount",
            "sales_account",
            id,
            agent,
            [at, later],
            records,
            associations,
            changes,
            out,
        );
    }

    /// A task or an appointment, and what became of it.
    fn activity(&mut self, at: Micros, out: &mut Vec<Event>) {
        let (agent, id) = (self.agent(), self.id());
        let later = at + self.dice.seconds(600, 7_200);
        let target = customer(self.dice.customer()).id;
        let mut changes = Map::new();
        touched(&mut changes, at, later);
        let own = json!({"creator": user(agent), "owner": user(agent), "updater": user(agent),
            "outcome": null, "targetable": {"id": target, "_model": "Contact"}});
        if self.dice.chance(0.6) {
            let build = |status: &str, done: Option<String>, updated| {
                json!({
                    "id": id, "title": "Call back", "description": null, "status": status, "owner_id": agent.user_id,
                    "creator_id": agent.user_id, "updater_id": agent.user_id, "is_deleted": false,
                    "task_type_id": null, "outcome_id": null, "targetable_id": target,
                    "targetable_type": "Contact", "due_date": seconds(at + 86_400 * SECOND), "completed_date": done,
                    "created_at": seconds(at), "updated_at": seconds(updated), "source_additional_info": {},
                })
            };
            changes.insert("status".to_owned(), json!(["Open", "Completed"]));
            let records =
                [build("Open", None, at), build("Completed", Some(seconds(later)), later)];
            self.pair("Task", "task", id, agent, [at, later], records, own, changes, out);
        } else {
            let build = |title: &str, updated| {
                json!({
                    "id": id, "title": title, "description": null, "creator_id": agent.user_id,
                    "updater_id": agent.user_id, "is_deleted": false, "is_allday": false, "location": null,
                    "latitude": null, "longitude": null, "time_zone": "UTC", "checkedin_at": null,
                    "from_date": seconds(at + 86_400 * SECOND), "end_date": seconds(at + 90_000 * SECOND),
                    "outcome_id": null, "targetable_id": target, "targetable_type": "Contact",
                    "created_at": seconds(at), "updated_at": seconds(updated), "source_additional_info": {},
                })
            };
            changes.insert("title".to_owned(), json!(["Demo", "Demo with their IT"]));
            let records = [build("Demo", at), build("Demo with their IT", later)];
            self.pair(
                "Appointment",
                "appointment",
                id,
                agent,
                [at, later],
                records,
                own,
                changes,
                out,
            );
        }
    }

    fn custom_record(&mut self, at: Micros, out: &mut Vec<Event>) {
        let (agent, id) = (self.agent(), self.id());
        let later = at + self.dice.seconds(60, 3_600);
        let build = |height: f64, updated: Micros| {
            let who = json!({"id": agent.user_id, "model": "user"});
            let values = vec![
                ("name", format!("Site survey {id}").into()),
                ("owner_id", who.clone()),
                ("creator_id", who.clone()),
                ("updater_id", who),
                ("created_at", seconds(at).into()),
                ("updated_at", seconds(updated).into()),
            ];
            labeled(
                CUSTOM_MODULE_RECORD,
                values,
                json!({
                    "id": id, "is_deleted": false, "status": 1, "import_id": null, "module_name": "cm_survey",
                    "custom_fields": [{"name": "cf_mast_height", "label": "Mast height", "column": "cf_decimal01",
                        "type": "decimal", "value": height}],
                }),
            )
        };
        let associations =
            json!({"owner": user(agent), "creator": user(agent), "updater": user(agent)});
        let mut changes = Map::new();
        changes.insert("custom_fields".to_owned(), json!({"cf_mast_height": [5.1, 5.11]}));
        touched(&mut changes, at, later);
        let records = [build(5.1, at), build(5.11, later)];
        let module = "custom_module_record";
        self.pair(
            "CustomModule",
            module,
            id,
            agent,
            [at, later],
            records,
            associations,
            changes,
            out,
        );
    }

    /// The creation of a record, and most often an update of it.
    #[allow(clippy::too_many_arguments)]
    fn pair(
        &mut self,
        name: &str,
        module: &'static str,
        id: i64,
        actor: &Agent,
        [at, later]: [Micros; 2],
        [before, after]: [Value; 2],
        associations: Value,
        changes: Map<String, Value>,
        out: &mut Vec<Event>,
    ) {
        let message = |what: &str, at, record, changes| Message {
            name: format!("on{name}{what}"),
            at,
            module,
            id,
            actor,
            record,
            associations: associations.clone(),
            changes,
        };
        out.push(message("Create", at, before, None).event());
        if self.dice.chance(0.75) {
            out.push(message("Update", later, after, Some(changes)).event());
        }
    }
}

/// A contact with this job title and score, as of `updated`.
fn contact_record(
    index: i64,
    agent: &Agent,
    created: Micros,
    (title, score, updated): (Option<&str>, i64, Micros),
) -> Value {
    let person = customer(index);
    let values = vec![
        ("first_name", person.first_name.into()),
        ("last_name", person.last_name.into()),
        ("name", format!("{} {}", person.first_name, person.last_name).into()),
        ("job_title", json!(title)),
        ("mobile_number", person.number.into()),
        ("city", person.city.into()),
        ("country", person.country.into()),
        ("owner_id", agent.user_id.into()),
        ("creator_id", agent.user_id.into()),
        ("updater_id", agent.user_id.into()),
        ("lead_score", score.into()),
        ("subscription_status", 1.into()),
        (
            "subscription_types",
            json!([{"id": "1", "value": "Non-marketing emails from our company"}]),
        ),
        ("open_deals_amount", amount_text(0)),
        ("won_deals_amount", amount_text(0)),
        ("created_at", seconds(created).into()),
        ("updated_at", seconds(updated).into()),
        ("last_assigned_at", seconds(created).into()),
        ("first_assigned_at", seconds(created).into()),
    ];
    let plain = json!({
        "id": person.id, "is_deleted": false, "do_not_disturb": false, "merged_to": 0,
        "status": "Active", "sales_account_ids": [company(index).1], "import_id": null,
        "avatar": null, "team_user_ids": [], "mcr_id": MCR_ID + index, "list_ids": [],
        "custom_fields": [{"name": "cf_region", "label": "Region", "column": "cf_str01",
            "type": "dropdown", "value": person.country, "choice_id": "190314101822239882"}],
        "source_additional_info": {},
    });
    labeled(CONTACT, values, plain)
}

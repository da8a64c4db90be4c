//! The made-up firm: its people, its lines, and its customers.
//!
//! Customers are the same in all systems, so that a deal's contacts are the people who called.

/// Somebody who works there. The phone system and the CRM know them by different ids.
pub struct Agent {
    pub id: i64,
    pub user_id: i64,
    pub name: &'static str,
    pub team: i64,
}

/// One of the firm's own numbers, and what the carrier takes for a minute on it.
pub struct Line {
    pub id: i64,
    pub number: &'static str,
    pub cost_unit: &'static str,
    /// Ten-thousandths of the currency.
    pub per_minute: i64,
}

const fn agent(id: i64, name: &'static str, team: i64) -> Agent {
    Agent { id, user_id: 39_000 + id, name, team }
}

pub static AGENTS: [Agent; 8] = [
    agent(694, "Amara Okafor", 11),
    agent(695, "Bram de Wit", 11),
    agent(696, "Clara Jansen", 11),
    agent(697, "Dmitri Sorokin", 12),
    agent(701, "Elif Aydin", 12),
    agent(702, "Farah Haddad", 12),
    agent(705, "Goran Petrov", 13),
    agent(706, "Hanna Lindqvist", 13),
];

pub const QUEUES: &[i64] = &[31, 32, 33];

pub static LINES: [Line; 4] = [
    Line { id: 46_851, number: "+12025550143", cost_unit: "usd", per_minute: 130 },
    Line { id: 46_852, number: "+12025550178", cost_unit: "usd", per_minute: 85 },
    Line { id: 46_853, number: "+442079460958", cost_unit: "gbp", per_minute: 96 },
    Line { id: 46_854, number: "+493023125014", cost_unit: "eur", per_minute: 110 },
];

/// Somebody who calls or buys.
pub struct Customer {
    pub id: i64,
    pub first_name: &'static str,
    pub last_name: &'static str,
    pub number: String,
    pub city: &'static str,
    pub country: &'static str,
}

/// Customers of a firm with so many calls a day; up to 8,000 have a number of their own.
pub fn customers(calls: usize) -> i64 {
    (calls as i64 * 2 / 5).clamp(240, 8_000)
}

const FIRST_NAMES: &[&str] = &[
    "Ada", "Ben", "Chloe", "Diego", "Eva", "Finn", "Grace", "Hugo", "Ines", "Jonas", "Kira",
    "Liam", "Mia", "Noah", "Olga", "Paul", "Quinn", "Rosa", "Sam", "Tara",
];
const LAST_NAMES: &[&str] = &[
    "Abbott", "Brandt", "Castillo", "Dubois", "Eriksen", "Fischer", "Garcia", "Hughes", "Ito",
    "Jensen", "Kowalski", "Lopez", "Meyer", "Novak", "O'Brien", "Peters", "Rossi", "Schmidt",
    "Tanaka", "Weiß",
];
/// City, country, and the prefix of its numbers.
const PLACES: &[(&str, &str, &str)] = &[
    ("Boston", "United States", "+1617555"),
    ("Leeds", "United Kingdom", "+44113496"),
    ("Berlin", "Germany", "+4930231"),
    ("Lyon", "France", "+33199001"),
    ("Denver", "United States", "+1303555"),
];
const COMPANIES: &[&str] = &[
    "Alder Works",
    "Bluefin Foods",
    "Cobalt Freight",
    "Dunes Travel",
    "Ember Studios",
    "Fjord Optics",
    "Granite Legal",
    "Heron Clinics",
    "Ivory Print",
    "Juniper Homes",
    "Kestrel Air",
    "Lumen Schools",
];

/// The customer of this number, from 0.
pub fn customer(index: i64) -> Customer {
    let (city, country, prefix) = at(PLACES, index * 7 + index / 5);
    Customer {
        id: 7_994_000 + index,
        first_name: at(FIRST_NAMES, index),
        last_name: at(LAST_NAMES, index / 3 + index),
        number: format!("{prefix}{:04}", 1000 + index * 37 % 8999),
        city,
        country,
    }
}

/// Name and id of the company a customer works for.
pub fn company(index: i64) -> (&'static str, i64) {
    let place = index.rem_euclid(COMPANIES.len() as i64);
    (at(COMPANIES, place), 1_100_800 + place)
}

fn at<T: Copy + Default>(items: &[T], index: i64) -> T {
    let place = index.rem_euclid(items.len().max(1) as i64);
    items.get(place as usize).copied().unwrap_or_default()
}

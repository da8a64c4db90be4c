//! Tariffs by hand, by mistake, and against a rating that counts second by second ([`slow`]).

use super::Tariffs;
use super::rate::Talk;

mod slow;

fn read(text: &str) -> Tariffs {
    Tariffs::read(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = Tariffs::read(text).unwrap_err();
    mistakes.iter().map(|mistake| format!("{}: {}", mistake.line, mistake.message)).collect()
}

fn at(time: &str) -> i64 {
    time.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_micros()
}

fn talk<'a>(number: &'a str, time: &str, seconds: &str) -> Talk<'a> {
    let talked = crate::functions::exact_amount(seconds).unwrap() / 1_000;
    Talk {
        system: "voipnow",
        account: Some("acme"),
        direction: Some("outgoing"),
        number: Some(number),
        started_at: at(time),
        talked: i64::try_from(talked).unwrap(),
    }
}

/// Tariff, billed seconds and cost, in billionths.
fn rated(tariffs: &Tariffs, talk: &Talk<'_>) -> Option<(String, i64, i128)> {
    let rating = tariffs.rate(talk)?;
    Some((rating.tariff.name.clone(), rating.billed_seconds, rating.cost))
}

const NOON: &str = "2026-03-02T12:00:00Z";

#[test]
fn the_longest_prefix_wins_and_then_the_most_particular() {
    let tariffs = read(
        r#"
        [[tariffs]]
        name = "world"
        currency = "EUR"
        per_minute = 1
        [[tariffs]]
        name = "germany"
        prefix = "+49"
        currency = "EUR"
        per_minute = 0.6
        [[tariffs]]
        name = "berlin"
        prefix = "+49 30"
        currency = "EUR"
        per_minute = "0.06"
        [[tariffs]]
        name = "berlin of acme"
        prefix = "+4930"
        account = "acme"
        currency = "EUR"
        per_minute = 0
        [[tariffs]]
        name = "berlin incoming"
        prefix = "+4930"
        account = "acme"
        direction = "incoming"
        currency = "EUR"
        per_minute = 0
        "#,
    );
    let name = |talk: &Talk<'_>| rated(&tariffs, talk).map(|(name, _, _)| name).unwrap();
    assert_eq!(name(&talk("+493012345678", NOON, "10")), "berlin of acme");
    assert_eq!(name(&talk("0049-30-12345678", NOON, "10")), "berlin of acme");
    assert_eq!(name(&talk("+4989123", NOON, "10")), "germany");
    assert_eq!(name(&talk("0049", NOON, "10")), "world", "a short number is an extension");
    let incoming = Talk { direction: Some("Incoming"), ..talk("+493012", NOON, "10") };
    assert_eq!(name(&incoming), "berlin incoming");
    let other = Talk { account: None, direction: None, ..talk("+493012", NOON, "10") };
    assert_eq!(name(&other), "berlin");
    assert_eq!(name(&Talk { number: None, ..other }), "world");
    let none = read("[[tariffs]]\nname='a'\nprefix='+1'\ncurrency='USD'\nper_minute=1\n");
    assert_eq!(rated(&none, &talk("+4930", NOON, "10")), None);
    assert_eq!(rated(&none, &Talk { number: None, ..talk("", NOON, "10") }), None);
}

#[test]
fn increments_fee_minimum_and_free_seconds_by_hand() {
    let tariffs = read(
        r#"
        [[tariffs]]
        name = "t"
        currency = "EUR"
        setup = 0.05
        per_minute = 0.10
        first_increment = 60
        next_increment = 30
        minimum = 0.20
        free_seconds = 10
        "#,
    );
    let of = |seconds: &str| {
        let (_, billed, cost) = rated(&tariffs, &talk("+1", NOON, seconds)).unwrap();
        (billed, cost)
    };
    assert_eq!(of("0"), (0, 0), "not talked: no fee");
    assert_eq!(of("10"), (0, 50_000_000), "only free seconds: the fee, and no minimum");
    // One second beyond: 60 billed, 0.05 + 0.10 = 0.15, so the minimum.
    assert_eq!(of("11"), (60, 200_000_000));
    assert_eq!(of("70"), (60, 200_000_000));
    // 60.000001 charged: 60 + 30 billed, 0.05 + 0.15.
    assert_eq!(of("70.000001"), (90, 200_000_000));
    // 100.5 charged: 60 + 2 × 30; 0.05 + 0.20.
    assert_eq!(of("110.5"), (120, 250_000_000));
    // A second at 0.10 a minute is 0.001666…, rounded to six digits; half of a millionth goes up.
    let by_second = "[[tariffs]]\nname='t'\ncurrency='EUR'\nper_minute=";
    let second =
        |price: &str| rated(&read(&format!("{by_second}{price}\n")), &talk("1", NOON, "0.2"));
    assert_eq!(second("0.10").unwrap().2, 1_667_000);
    assert_eq!(second("0.000_03").unwrap().2, 1_000);
    assert_eq!(second("0.000_029_999").unwrap().2, 0);
}

#[test]
fn bands_are_those_of_the_zone_in_which_the_call_starts() {
    let tariffs = read(
        r#"
        zone = "Europe/Berlin"
        [[tariffs]]
        name = "t"
        currency = "EUR"
        per_minute = 3
        valid_from = 2026-03-01
        valid_to = 2026-11-01
        bands = [
            { days = "mon-fri", from = "08:00", to = "18:00", per_minute = 6, first_increment = 60 },
            { days = "fri-sat", from = "22:00", to = "06:00", per_minute = 1.2 },
        ]
        "#,
    );
    let cost = |time: &str| rated(&tariffs, &talk("1", time, "1")).map(|(_, _, cost)| cost);
    let price = |per_minute: i128| Some(per_minute * 1_000_000_000 / 60);
    // Monday 2026-03-02, winter: 08:00 in Berlin is 07:00 UTC. The band bills a whole minute.
    assert_eq!(cost("2026-03-02T06:59:59Z"), price(3));
    assert_eq!(cost("2026-03-02T07:00:00Z"), Some(6_000_000_000));
    assert_eq!(cost("2026-03-02T16:59:59Z"), Some(6_000_000_000));
    assert_eq!(cost("2026-03-02T17:00:00Z"), price(3));
    // Monday 2026-03-30, summer: 08:00 is 06:00 UTC.
    assert_eq!(cost("2026-03-30T06:00:00Z"), Some(6_000_000_000));
    // Saturday night goes on until Sunday 06:00; 05:59 winter time is 04:59 UTC.
    assert_eq!(cost("2026-03-08T04:59:59Z"), Some(20_000_000));
    assert_eq!(cost("2026-03-08T05:00:00Z"), price(3));
    // Valid from midnight in Berlin, 23:00 UTC the day before, in summer 22:00; its end is out.
    assert_eq!(cost("2026-02-28T22:59:59Z"), None);
    assert_eq!(cost("2026-02-28T23:00:00Z"), price(3).map(|_| 20_000_000));
    assert!(cost("2026-10-31T22:59:59Z").is_some());
    assert_eq!(cost("2026-10-31T23:00:00Z"), None);
}

#[test]
fn what_is_wrong_is_told_with_its_line_all_at_once() {
    let told = mistakes(
        r#"zone = "Europe/Berln"
[[tariffs]]
name = "a"
currency = "EUO"
per_minute = 1
[[tariffs]]
name = "b"
currency = "EUR"
per_minute = -1
[[tariffs]]
name = "c"
currency = "EUR"
[[tariffs]]
name = "d"
currency = "EUR"
per_minutes = 1
[[tariffs]]
name = "e"
currency = "EUR"
system = "voipnw"
per_minute = 1
[[tariffs]]
name = "f"
currency = "EUR"
per_minute = 1
next_increment = 0
[[tariffs]]
name = "g"
currency = "EUR"
per_minute = 1
valid_from = "2026-03"
valid_to = "2026-02"
"#,
    );
    let expected = [
        "1: unknown time zone \"Europe/Berln\"; did you mean Europe/Berlin",
        "2: tariff \"a\": unknown currency \"EUO\"; did you mean",
        "6: \"-1\" is no amount",
        "10: tariff \"c\": it has no per_minute",
        "13: unknown field `per_minutes`",
        "17: tariff \"e\": unknown system \"voipnw\"; did you mean voipnow?",
        "22: tariff \"f\": an increment is at least 1 second",
        "27: tariff \"g\": valid_to is not after valid_from",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        let (line, text) = expected.split_once(": ").unwrap();
        assert!(told.contains(text), "{told} is not {expected}");
        // Within the entry: at its head, or at the very field.
        let at: usize = told.split_once(": ").unwrap().0.parse().unwrap();
        let line: usize = line.parse().unwrap();
        assert!((line..line + 5).contains(&at), "{told} is not {expected}");
    }
}

#[test]
fn overlaps_and_holes_are_refused() {
    let two = |first: &str, second: &str| {
        let entry = |name: &str, rest: &str| {
            format!("[[tariffs]]\nname = {name:?}\ncurrency = \"EUR\"\nper_minute = 1\n{rest}\n")
        };
        Tariffs::read(&(entry("a", first) + &entry("b", second))).err().map(|mistakes| {
            mistakes.iter().map(|m| m.message.clone()).collect::<Vec<_>>().join("; ")
        })
    };
    assert_eq!(two("prefix='+49'", "prefix='+4930'"), None);
    assert_eq!(two("direction='incoming'", "direction='outgoing'"), None);
    assert_eq!(two("valid_to=2026-03-01", "valid_from=2026-03-01"), None);
    assert!(two("prefix='+49'", "prefix='+4-9'").is_some_and(|told| told.contains("same calls")));
    assert_eq!(
        two("prefix='0003*'", "prefix='0049'").unwrap(),
        "tariff \"b\": prefix \"0049\": write +49"
    );
    assert_eq!(
        two("", "").unwrap(),
        "tariffs \"a\" and \"b\" are for the same calls from the beginning on; end the one with valid_to \
         where the other begins, or tell them apart by prefix, direction, account or system"
    );
    let overlap = two("valid_to=2026-03-02", "valid_from=2026-03-01").unwrap();
    assert!(overlap.contains("from 2026-03-01T00:00:00Z on"), "{overlap}");
    assert_eq!(
        two("valid_to=2026-03-01", "valid_from=2026-03-02").unwrap(),
        "between tariffs \"a\" and \"b\" there is none from 2026-03-01T00:00:00Z to 2026-03-02T00:00:00Z; \
         let valid_to of the one be valid_from of the other, or add a tariff for that time"
    );
    // A more general one steps in.
    let general = "[[tariffs]]\nname='c'\ncurrency='EUR'\nper_minute=1\n";
    let series = "[[tariffs]]\nname='a'\nprefix='+4'\ncurrency='EUR'\nper_minute=1\nvalid_to=2026-03-01\n\
                  [[tariffs]]\nname='b'\nprefix='+4'\ncurrency='EUR'\nper_minute=1\nvalid_from=2026-04-01\n";
    assert!(Tariffs::read(&format!("{general}{series}")).is_ok());
    let bands = |rest: &str, bands: &str| {
        let text = format!("[[tariffs]]\nname='t'\ncurrency='EUR'\n{rest}\nbands=[{bands}]\n");
        Tariffs::read(&text).err().map(|mistakes| mistakes[0].message.clone())
    };
    let day = "{days='mon-fri',per_minute=1}";
    assert_eq!(
        bands("", day).unwrap(),
        "tariff \"t\": no band holds from sat 00:00 to mon 00:00; add one, or give the tariff a per_minute \
         for all other times"
    );
    assert_eq!(bands("per_minute=1", day), None);
    assert_eq!(bands("", &format!("{day},{{days='sat,sun',per_minute=1}}")), None);
    assert_eq!(
        bands("", &format!("{day},{{days='fri',from='22:00',to='06:00',per_minute=1}}")).unwrap(),
        "tariff \"t\": bands 1 and 2 both hold on fri 22:00; let them end where the next one begins"
    );
    assert!(bands("per_minute=1", "{days='mond',per_minute=1}").unwrap().contains("is no day"));
    assert!(
        bands("per_minute=1", "{from='25:00',per_minute=1}").unwrap().contains("no time of day")
    );
}

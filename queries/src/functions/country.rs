//! `country_of(number)`: the ISO 3166 country of a number in E.164 form (`+4930…`, `004930…`).
//!
//! By calling code alone, and by area code where countries share one (+1, +7). A number without its
//! calling code is in no country: guessing one would make costs look local that are not.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CountryOf {
    signature: Signature,
}

impl Default for CountryOf {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for CountryOf {
    fn name(&self) -> &str {
        "country_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [numbers] = columns.as_slice() else {
            return datafusion::common::internal_err!("country_of takes one number");
        };
        let numbers = cast(numbers, &DataType::Utf8)?;
        let countries: StringArray =
            numbers.as_string::<i32>().iter().map(|number| country_of(number?)).collect();
        Ok(ColumnarValue::Array(Arc::new(countries)))
    }
}

fn country_of(number: &str) -> Option<&'static str> {
    let number = number.trim();
    let international = number.strip_prefix('+').or_else(|| number.strip_prefix("00"))?;
    let digits: String = international.chars().filter(char::is_ascii_digit).take(4).collect();
    (1..=digits.len()).rev().find_map(|length| {
        let code = digits.get(..length)?;
        CODES.iter().find(|(_, codes)| codes.split(' ').any(|known| known == code)).map(|(c, _)| *c)
    })
}

/// The calling code of a country (`DE` is 49); those of a shared plan have its first digit.
pub fn calling_code(country: &str) -> Option<&'static str> {
    let (_, codes) = CODES.iter().find(|(known, _)| *known == country)?;
    let code = codes.split(' ').next()?;
    ["1", "7"].into_iter().find(|shared| code.starts_with(shared)).or(Some(code))
}

/// Calling codes by country, with the area codes that tell the members of a shared plan apart; the
/// longest match wins. ITU-T E.164 assigned country codes and the North American Numbering Plan.
#[rustfmt::skip]
const CODES: &[(&str, &str)] = &[
    ("US", "1"),
    ("CA", "1204 1226 1236 1249 1250 1257 1263 1289 1306 1343 1354 1365 1367 1368 1382 1387 1403 \
            1416 1418 1428 1431 1437 1438 1450 1460 1468 1474 1506 1514 1519 1548 1579 1581 1584 \
            1587 1604 1613 1639 1647 1672 1683 1705 1709 1742 1753 1778 1780 1782 1807 1819 1825 \
            1867 1873 1879 1902 1905 1942"),
    ("AG", "1268"), ("AI", "1264"), ("AS", "1684"), ("BB", "1246"), ("BM", "1441"), ("BS", "1242"),
    ("DM", "1767"), ("DO", "1809 1829 1849"), ("GD", "1473"), ("GU", "1671"), ("JM", "1876 1658"),
    ("KN", "1869"), ("KY", "1345"), ("LC", "1758"), ("MP", "1670"), ("MS", "1664"),
    ("PR", "1787 1939"), ("SX", "1721"), ("TC", "1649"), ("TT", "1868"), ("VC", "1784"),
    ("VG", "1284"), ("VI", "1340"),
    ("RU", "7"), ("KZ", "76 77"),
    ("EG", "20"), ("SS", "211"), ("MA", "212"), ("DZ", "213"), ("TN", "216"), ("LY", "218"),
    ("GM", "220"), ("SN", "221"), ("MR", "222"), ("ML", "223"), ("GN", "224"), ("CI", "225"),
    ("BF", "226"), ("NE", "227"), ("TG", "228"), ("BJ", "229"), ("MU", "230"), ("LR", "231"),
    ("SL", "232"), ("GH", "233"), ("NG", "234"), ("TD", "235"), ("CF", "236"), ("CM", "237"),
    ("CV", "238"), ("ST", "239"), ("GQ", "240"), ("GA", "241"), ("CG", "242"), ("CD", "243"),
    ("AO", "244"), ("GW", "245"), ("IO", "246"), ("AC", "247"), ("SC", "248"), ("SD", "249"),
    ("RW", "250"), ("ET", "251"), ("SO", "252"), ("DJ", "253"), ("KE", "254"), ("TZ", "255"),
    ("UG", "256"), ("BI", "257"), ("MZ", "258"), ("ZM", "260"), ("MG", "261"), ("RE", "262"),
    ("ZW", "263"), ("NA", "264"), ("MW", "265"), ("LS", "266"), ("BW", "267"), ("SZ", "268"),
    ("KM", "269"), ("ZA", "27"), ("SH", "290"), ("ER", "291"), ("AW", "297"), ("FO", "298"),
    ("GL", "299"), ("GR", "30"), ("NL", "31"), ("BE", "32"), ("FR", "33"), ("ES", "34"),
    ("GI", "350"), ("PT", "351"), ("LU", "352"), ("IE", "353"), ("IS", "354"), ("AL", "355"),
    ("MT", "356"), ("CY", "357"), ("FI", "358"), ("BG", "359"), ("HU", "36"), ("LT", "370"),
    ("LV", "371"), ("EE", "372"), ("MD", "373"), ("AM", "374"), ("BY", "375"), ("AD", "376"),
    ("MC", "377"), ("SM", "378"), ("VA", "379"), ("UA", "380"), ("RS", "381"), ("ME", "382"),
    ("XK", "383"), ("HR", "385"), ("SI", "386"), ("BA", "387"), ("MK", "389"), ("IT", "39"),
    ("RO", "40"), ("CH", "41"), ("CZ", "420"), ("SK", "421"), ("LI", "423"), ("AT", "43"),
    ("GB", "44"), ("DK", "45"), ("SE", "46"), ("NO", "47"), ("PL", "48"), ("DE", "49"),
    ("FK", "500"), ("BZ", "501"), ("GT", "502"), ("SV", "503"), ("HN", "504"), ("NI", "505"),
    ("CR", "506"), ("PA", "507"), ("PM", "508"), ("HT", "509"), ("PE", "51"), ("MX", "52"),
    ("CU", "53"), ("AR", "54"), ("BR", "55"), ("CL", "56"), ("CO", "57"), ("VE", "58"),
    ("GP", "590"), ("BO", "591"), ("GY", "592"), ("EC", "593"), ("GF", "594"), ("PY", "595"),
    ("MQ", "596"), ("SR", "597"), ("UY", "598"), ("CW", "599"), ("MY", "60"), ("AU", "61"),
    ("ID", "62"), ("PH", "63"), ("NZ", "64"), ("SG", "65"), ("TH", "66"), ("TL", "670"),
    ("NF", "672"), ("BN", "673"), ("NR", "674"), ("PG", "675"), ("TO", "676"), ("SB", "677"),
    ("VU", "678"), ("FJ", "679"), ("PW", "680"), ("WF", "681"), ("CK", "682"), ("NU", "683"),
    ("WS", "685"), ("KI", "686"), ("NC", "687"), ("TV", "688"), ("PF", "689"), ("TK", "690"),
    ("FM", "691"), ("MH", "692"), ("JP", "81"), ("KR", "82"), ("VN", "84"), ("KP", "850"),
    ("HK", "852"), ("MO", "853"), ("KH", "855"), ("LA", "856"), ("CN", "86"), ("BD", "880"),
    ("TW", "886"), ("TR", "90"), ("IN", "91"), ("PK", "92"), ("AF", "93"), ("LK", "94"),
    ("MM", "95"), ("MV", "960"), ("LB", "961"), ("JO", "962"), ("SY", "963"), ("IQ", "964"),
    ("KW", "965"), ("SA", "966"), ("YE", "967"), ("OM", "968"), ("PS", "970"), ("AE", "971"),
    ("IL", "972"), ("BH", "973"), ("QA", "974"), ("BT", "975"), ("MN", "976"), ("NP", "977"),
    ("IR", "98"), ("TJ", "992"), ("TM", "993"), ("AZ", "994"), ("GE", "995"), ("KG", "996"),
    ("UZ", "998"),
];

#[cfg(test)]
mod tests {
    use super::country_of;

    #[test]
    fn the_longest_code_wins_and_a_bare_number_is_nowhere() {
        assert_eq!(country_of("+12133701559"), Some("US"));
        assert_eq!(country_of("+1 416 555 0100"), Some("CA"));
        assert_eq!(country_of("+821045472367"), Some("KR"));
        assert_eq!(country_of("004930901820"), Some("DE"));
        assert_eq!(country_of("+77012345678"), Some("KZ"));
        assert_eq!(country_of("+74951234567"), Some("RU"));
        assert_eq!(country_of("+4"), None);
        assert_eq!(country_of("030 901820"), None);
        assert_eq!(country_of("anonymous"), None);
    }
}

//! The currencies that amounts can be in: the active national ones of ISO 4217, and the kuna, in which
//! calls up to 2022 were billed.
//!
//! A code that is none of them is a slip; taken for a currency it would hide costs in a row of its own.

use crate::error::QueryError;

#[rustfmt::skip]
const CODES: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD",
    "BDT", "BGN", "BHD", "BIF", "BMD", "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN",
    "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP", "CVE", "CZK", "DJF",
    "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS",
    "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HRK", "HTG", "HUF", "IDR", "ILS",
    "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW",
    "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL",
    "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN",
    "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR",
    "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK",
    "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS",
    "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS",
    "VED", "VES", "VND", "VUV", "WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR",
    "ZMW", "ZWG",
];

/// The code as it is written, in any case.
pub fn code(text: &str) -> Result<&'static str, QueryError> {
    let wanted = text.trim().to_ascii_uppercase();
    CODES.iter().copied().find(|code| *code == wanted).ok_or_else(|| QueryError::Unknown {
        what: "currency",
        name: text.to_owned(),
        known: CODES.iter().map(|code| (*code).to_owned()).collect(),
        place: None,
    })
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn a_code_is_read_in_any_case_and_a_slip_is_refused() {
        assert_eq!(code("eur").unwrap(), "EUR");
        let error = code("EUO").unwrap_err();
        assert_eq!(error.to_string(), "unknown currency \"EUO\"");
        assert!(error.hint().unwrap().contains("did you mean"), "{:?}", error.hint());
        let hint = code("Taler").unwrap_err().hint();
        assert_eq!(hint.as_deref(), Some("write its code by ISO 4217, as in EUR"));
    }
}

//! `account_currency(account)` and `account_country(account)`: what the settings tell of a vendor's account, or
//! null.
//!
//! The settings are tables as well, for whoever asks in SQL. The views ask these functions instead: joined with
//! a table, each of millions of rows is copied, even where the settings tell of no account.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OfAccount {
    name: &'static str,
    /// Upper-case codes by account id.
    codes: BTreeMap<String, String>,
    signature: Signature,
}

impl OfAccount {
    pub fn new(name: &'static str, told: &BTreeMap<String, String>) -> Self {
        let codes = told.iter().map(|(account, code)| (account.clone(), code.to_uppercase()));
        let signature = Signature::any(1, Volatility::Immutable);
        Self { name, codes: codes.collect(), signature }
    }
}

impl ScalarUDFImpl for OfAccount {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    /// Where no account is told of, nothing is read for it.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.codes.is_empty() {
            true => ExprSimplifyResult::Simplified(Expr::Literal(ScalarValue::Utf8(None), None)),
            false => ExprSimplifyResult::Original(args),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [accounts] = columns.as_slice() else {
            return internal_err!("{} takes an account", self.name);
        };
        let accounts = cast(accounts, &DataType::Utf8View)?;
        let accounts = accounts.as_string_view().iter();
        let codes: StringArray =
            accounts.map(|account| self.codes.get(account?).map(String::as_str)).collect();
        Ok(ColumnarValue::Array(Arc::new(codes)))
    }
}

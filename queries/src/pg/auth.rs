//! Who may ask: one user with a password, by SCRAM, so that the password never crosses the network.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::sasl::SASLAuthStartupHandler;
use datafusion_postgres::pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramAuth, gen_salted_password, random_nonce,
};
use datafusion_postgres::pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, StartupHandler,
};
use datafusion_postgres::pgwire::api::{ClientInfo, METADATA_USER};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::Sink;

use super::failure::refused;

/// The door of one connection.
pub struct Startup(SASLAuthStartupHandler<DefaultServerParameterProvider>);

/// Lets one connection in; the exchange has a state, so each needs its own.
pub fn handler(user: &str, password: &str) -> Startup {
    let one = OneUser { user: user.to_owned(), password: password.to_owned() };
    let mut parameters = DefaultServerParameterProvider::default();
    parameters.is_superuser = false;
    parameters.default_transaction_read_only = true;
    let scram = ScramAuth::new(Arc::new(one));
    Startup(SASLAuthStartupHandler::new(Arc::new(parameters)).with_scram(scram))
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let told = self.0.on_startup(client, message).await;
        told.map_err(|error| match error {
            // Which names the user of the exchange, that clients leave empty.
            PgWireError::InvalidPassword(_) => {
                refused(client.metadata().get(METADATA_USER).map_or("", String::as_str))
            }
            other => other,
        })
    }
}

struct OneUser {
    user: String,
    password: String,
}

impl fmt::Debug for OneUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneUser")
    }
}

#[async_trait]
impl AuthSource for OneUser {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let salt = random_nonce().into_bytes();
        // Another user is refused like a wrong password, and as late.
        let is_ours = login.user() == Some(&self.user);
        let password = if is_ours { self.password.clone() } else { random_nonce() };
        let salted = gen_salted_password(&password, &salt, SCRAM_ITERATIONS);
        Ok(Password::new(Some(salt), salted))
    }
}

//! One connection: what its statements mean, and their answers in the protocol's form.
//!
//! `SET`, `SHOW` and transactions are answered by the library, which knows what drivers say when they
//! connect; all else is for the engine. A prepared statement is planned anew each time it is executed, so
//! that it sees what has come since.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Ast;
use datafusion_postgres::QueryHook;
use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, df, into_pg_type};
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use datafusion_postgres::pgwire::api::auth::StartupHandler;
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::{FieldInfo, QueryResponse, Response};
use datafusion_postgres::pgwire::api::stmt::QueryParser;
use datafusion_postgres::pgwire::api::store::PortalStore;
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore, PgWireServerHandlers, Type};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::Sink;
use tokio::time::Instant;

use super::auth::Startup;
use super::failure::told;
use super::freshest::Freshest;
use super::rows::Rows;
use super::running::Running;
use crate::error::QueryError;
use crate::sql;

/// The handlers of one connection.
pub struct Connection {
    service: Arc<Service>,
    startup: Arc<Startup>,
}

impl Connection {
    pub fn new(freshest: Arc<Freshest>, running: Arc<Running>, startup: Startup) -> Self {
        let reader = Reader {
            freshest,
            parser: PostgresCompatibilityParser::new(),
            hooks: [Arc::new(TransactionStatementHook), Arc::new(SetShowHook)],
            nowhere: SessionContext::new(),
        };
        let service = Service { reader: Arc::new(reader), running };
        Self { service: Arc::new(service), startup: Arc::new(startup) }
    }
}

impl PgWireServerHandlers for Connection {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.service)
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.service)
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.startup)
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.service.running)
    }
}

/// Answers statements.
pub struct Service {
    reader: Arc<Reader>,
    running: Arc<Running>,
}

/// Reads statements.
pub struct Reader {
    freshest: Arc<Freshest>,
    parser: PostgresCompatibilityParser,
    hooks: [Arc<dyn QueryHook>; 2],
    /// What the library's own answers are asked of: it has no tables, and its settings are nobody's.
    nowhere: SessionContext,
}

/// A statement as it was prepared.
#[derive(Clone)]
pub struct Prepared {
    sql: Arc<str>,
    statement: Ast,
    plan: LogicalPlan,
}

impl Reader {
    fn parse(&self, sql: &str) -> PgWireResult<Vec<Ast>> {
        self.parser.parse(sql).map_err(|error| {
            told(&sql::explain(DataFusionError::SQL(Box::new(error), None), sql), sql)
        })
    }

    /// The plan of a statement, as far as it may be asked.
    async fn plan(&self, statement: &Ast, sql: &str) -> PgWireResult<LogicalPlan> {
        let planned = async {
            let engine = self.freshest.engine().await?;
            engine.plan_of(Statement::Statement(Box::new(statement.clone())), sql).await
        };
        planned.await.map_err(|error| told(&error, sql))
    }
}

impl Service {
    /// Asks the engine, and hands its answer over as it comes.
    async fn ask(
        &self,
        client: &(impl ClientInfo + Sync + ?Sized),
        asked: (&Ast, &str),
        values: Option<ParamValues>,
        format: &Format,
    ) -> PgWireResult<Response> {
        let ((statement, sql), began) = (asked, Instant::now());
        let run = self.running.begin(client);
        let answered = async {
            let engine = self.reader.freshest.engine().await?;
            engine.answer_to(Statement::Statement(Box::new(statement.clone())), sql, values).await
        };
        let answer = tokio::select! {
            answer = answered => answer.map_err(|error| told(&error, sql))?,
            () = run.cancelled() => return Err(PgWireError::QueryCanceled),
        };
        let options = Arc::new(FormatOptions::from_client_metadata(client.metadata()));
        let fields = Arc::new(arrow_schema_to_pg_fields(&answer.schema, format, Some(options))?);
        let sql: Arc<str> = sql.into();
        let limit = own_timeout(client);
        let limit = limit.map(|after| (began + after, after));
        let rows = Rows { answer, run, sql, fields: Arc::clone(&fields), limit };
        Ok(Response::Query(QueryResponse::new(fields, rows.stream())))
    }
}

/// What `SET statement_timeout` asks for; the server's own limit holds besides.
fn own_timeout(client: &(impl ClientInfo + ?Sized)) -> Option<Duration> {
    let millis = client.metadata().get("statement_timeout_ms")?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

#[async_trait]
impl SimpleQueryHandler for Service {
    async fn do_query<C>(&self, client: &mut C, sql: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statements = self.reader.parse(sql)?;
        if statements.is_empty() {
            return Ok(vec![Response::EmptyQuery]);
        }
        let mut responses = Vec::with_capacity(statements.len());
        'statements: for statement in &statements {
            for hook in &self.reader.hooks {
                let asked = &mut *client as &mut dyn HookClient;
                if let Some(response) =
                    hook.handle_simple_query(statement, &self.reader.nowhere, asked).await
                {
                    responses.push(response?);
                    continue 'statements;
                }
            }
            let asked = (statement, sql);
            responses.push(self.ask(client, asked, None, &Format::UnifiedText).await?);
        }
        Ok(responses)
    }
}

#[async_trait]
impl ExtendedQueryHandler for Service {
    type Statement = Prepared;
    type QueryParser = Reader;

    fn query_parser(&self) -> Arc<Reader> {
        Arc::clone(&self.reader)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Prepared>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let Prepared { sql, statement, plan } = &portal.statement.statement;
        let kinds = parameters(plan)?;
        let arrow: Vec<Option<&DataType>> = kinds.iter().map(Option::as_ref).collect();
        let wire = wire_types(&kinds)?;
        let wire: Vec<Option<&Type>> = wire.iter().map(Some).collect();
        let values = df::deserialize_parameters_with_server_types(portal, &arrow, &wire)?;
        for hook in &self.reader.hooks {
            let asked = &mut *client as &mut dyn HookClient;
            let response = hook
                .handle_extended_query(statement, plan, &values, &self.reader.nowhere, asked)
                .await;
            if let Some(response) = response {
                return response;
            }
        }
        let values = Some(values).filter(|_| !kinds.is_empty());
        self.ask(client, (statement, sql), values, &portal.result_column_format).await
    }
}

#[async_trait]
impl QueryParser for Reader {
    type Statement = Prepared;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        _: &[Option<Type>],
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut statements = self.parse(sql)?;
        if statements.len() > 1 {
            return Err(told(&QueryError::NotOneStatement(statements.len()), sql));
        }
        let Some(statement) = statements.pop() else { return Ok(None) };
        for hook in &self.hooks {
            let planned = hook.handle_extended_parse_query(&statement, &self.nowhere, client).await;
            if let Some(plan) = planned {
                return Ok(Some(Prepared { sql: sql.into(), statement, plan: plan? }));
            }
        }
        let plan = self.plan(&statement, sql).await?;
        Ok(Some(Prepared { sql: sql.into(), statement, plan }))
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        wire_types(&parameters(&prepared.plan)?)
    }

    fn get_result_schema(
        &self,
        prepared: &Prepared,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        let schema = prepared.plan.schema();
        arrow_schema_to_pg_fields(schema.as_arrow(), format.unwrap_or(&Format::UnifiedText), None)
    }
}

/// The types of `$1`, `$2` and so on, as far as the statement tells them.
fn parameters(plan: &LogicalPlan) -> PgWireResult<Vec<Option<DataType>>> {
    let told =
        plan.get_parameter_types().map_err(|error| PgWireError::ApiError(Box::new(error)))?;
    let number = |name: &str| name.trim_start_matches('$').parse().unwrap_or(usize::MAX);
    let mut told: Vec<(usize, Option<DataType>)> =
        told.into_iter().map(|(name, kind)| (number(&name), kind)).collect();
    told.sort_by_key(|(number, _)| *number);
    Ok(told.into_iter().map(|(_, kind)| kind).collect())
}

fn wire_types(kinds: &[Option<DataType>]) -> PgWireResult<Vec<Type>> {
    let wire = |kind: &Option<DataType>| kind.as_ref().map_or(Ok(Type::UNKNOWN), into_pg_type);
    kinds.iter().map(wire).collect()
}

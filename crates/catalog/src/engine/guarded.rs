//! A connection that keeps to its time, and tells what it learns of the database's health.

use std::pin::pin;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement,
};
use sea_orm_migration::async_trait::async_trait;
use tokio::time::Instant;

use super::health::Health;
use super::trouble::{Trouble, trouble};

/// For single statements that change nothing.
pub(crate) type Reader = Guarded<DatabaseConnection>;

/// A transaction that may write. Dropped without a commit, it is undone.
pub(crate) type Write = Guarded<DatabaseTransaction>;

/// Limits of a database on the network; one inside this process has none.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) health: Health,
    /// How long is waited for one answer. Longer than the server works on one: only a server that hangs, or a network
    /// that swallows, is given up on from this side.
    pub(crate) answer_timeout: Duration,
}

/// A connection or transaction with its guard.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<C> {
    pub(crate) inner: C,
    pub(crate) guard: Option<Guard>,
}

impl Guard {
    /// One answer, in time.
    pub(crate) async fn watch<T>(
        &self,
        question: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        // Dropped at the end: whoever clears up behind a question that was given up on knows already that it was.
        let mut question = pin!(question);
        let answer =
            tokio::time::timeout(self.answer_timeout, question.as_mut()).await.unwrap_or_else(|_| {
                let text = format!("no answer within {} ms", self.answer_timeout.as_millis());
                Err(DbErr::Conn(RuntimeErr::Internal(text)))
            });
        match &answer {
            Err(error) => match trouble(error) {
                Some(Trouble::Away) => self.health.away(Instant::now(), error),
                Some(Trouble::Lost) => self.health.lost(Instant::now()),
                _ => self.health.answered(),
            },
            Ok(_) => self.health.answered(),
        }
        answer
    }
}

impl Guarded<DatabaseConnection> {
    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        self.ask(|| self.inner.ping()).await
    }

    /// A question that may be asked twice: on a connection that turns out to be dead it is asked again on another.
    async fn ask<T, F: Future<Output = Result<T, DbErr>>>(
        &self,
        question: impl Fn() -> F,
    ) -> Result<T, DbErr> {
        let Some(guard) = &self.guard else { return question().await };
        guard.health.admit(Instant::now())?;
        let answer = guard.watch(question()).await;
        if answer.as_ref().is_err_and(|error| trouble(error) == Some(Trouble::Lost)) {
            return guard.watch(question()).await;
        }
        answer
    }
}

#[async_trait]
impl ConnectionTrait for Guarded<DatabaseConnection> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.ask(|| self.inner.execute_raw(statement.clone())).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.ask(|| self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.ask(|| self.inner.query_one_raw(statement.clone())).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.ask(|| self.inner.query_all_raw(statement.clone())).await
    }
}

impl Guarded<DatabaseTransaction> {
    /// Makes what was written last. A connection that is lost meanwhile leaves open whether it did.
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        let Self { inner, guard } = self;
        match guard {
            Some(guard) => guard.watch(inner.commit()).await,
            None => inner.commit().await,
        }
    }

    async fn say<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        match &self.guard {
            Some(guard) => guard.watch(statement).await,
            None => statement.await,
        }
    }
}

#[async_trait]
impl ConnectionTrait for Guarded<DatabaseTransaction> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.say(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.say(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.say(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.say(self.inner.query_all_raw(statement)).await
    }
}

//! What only Supabase has: two families of keys, policies that hide, a gateway, versions.

use std::time::Duration;

use turepe_directory::{DirectoryConfig, Finding, Kind, Severity, TableError, Unavailable};

use crate::support::postgrest::{PUBLISHABLE, SECRET, jwt};
use crate::support::{Outside, Running, id, until};

/// 2100-01-01.
const FAR: i64 = 4_102_444_800;

fn with_key(outside: &Outside, folder: &tempfile::TempDir, key: &str) -> DirectoryConfig {
    let mut config = outside.config(folder.path().join("directory.json"));
    config.kind = Kind::Supabase { url: outside.rest().url.clone(), key: key.to_owned() };
    config
}

async fn check(config: DirectoryConfig) -> Vec<Finding> {
    let running = Running::start(config);
    let findings = running.directory.check().await;
    running.stop().await;
    findings
}

fn worst(findings: &[Finding]) -> &Finding {
    findings.iter().max_by_key(|finding| finding.severity).unwrap()
}

async fn trouble(config: DirectoryConfig) -> TableError {
    let running = Running::with(config, &[id(1)]);
    until("trouble", async || running.directory.trouble().is_some()).await;
    let trouble = running.directory.trouble().unwrap();
    running.kill().await;
    trouble
}

#[tokio::test(flavor = "multi_thread")]
async fn both_families_of_keys_work_and_each_goes_where_it_belongs() {
    let outside = Outside::supabase().await;
    outside.insert(id(1), "one", false).await;
    for key in [SECRET.to_owned(), PUBLISHABLE.to_owned(), jwt("service_role", FAR), jwt("anon", FAR)] {
        let folder = tempfile::tempdir().unwrap();
        outside.rest().take_requests();
        let running = Running::start(with_key(&outside, &folder, &key));
        assert!(running.directory.authorise("one").await.unwrap().is_some(), "{key}");
        running.publish(id(1));
        until("the row to be live", async || outside.row(id(1)).await.is_on_live).await;
        running.stop().await;
        assert!(!outside.row(id(1)).await.is_on_live);
        for request in outside.rest().take_requests() {
            assert_eq!(request.headers["apikey"], key);
            let is_bearer =
                request.headers.get("authorization").map(|value| value == &format!("Bearer {key}"));
            assert_eq!(is_bearer, (!key.starts_with("sb_")).then_some(true));
            assert!(["GET", "PATCH"].contains(&request.method.as_str()), "nothing is inserted or deleted");
            if request.method == "PATCH" {
                assert!(request.query.starts_with("id="), "every write names its rows: {}", request.query);
                assert_eq!(request.headers["prefer"], "return=minimal, handling=strict, max-affected=1");
                let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
                assert!(body["modified"].is_string() && body.get("stream_id").is_none(), "{body}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_expired_keys_are_told_apart_and_never_repeated() {
    let outside = Outside::supabase().await;
    outside.insert(id(1), "one", false).await;
    let forged = jwt("service_role", FAR).replace("eyJ", "eyK");
    let expired = jwt("service_role", 1_600_000_000);
    for (key, is_expired) in [
        ("sb_secret_typo".to_owned(), false),
        ("nonsense".to_owned(), false),
        (forged, false),
        (expired, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let trouble = trouble(with_key(&outside, &folder, &key)).await;
        if is_expired {
            assert_eq!(trouble, TableError::ExpiredKey);
        } else {
            assert!(matches!(trouble, TableError::WrongKey(_)), "{key}: {trouble:?}");
        }
        assert!(!trouble.to_string().contains(&key));
        let findings = check(with_key(&outside, &folder, &key)).await;
        assert_eq!(worst(&findings).severity, Severity::Error, "{findings:#?}");
        assert!(findings.iter().all(|finding| !finding.message.contains(&key)));
        let running = Running::start(with_key(&outside, &folder, &key));
        assert_eq!(
            running.directory.authorise("one").await,
            Err(Unavailable),
            "it is not the publisher's fault"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_and_policies_are_told_apart() {
    let outside = Outside::supabase().await;
    let folder = tempfile::tempdir().unwrap();
    outside.insert(id(1), "one", false).await;
    let public = || with_key(&outside, &folder, PUBLISHABLE);

    // Seen and writable by the public: works, and doctor warns.
    let findings = check(public()).await;
    let warning = worst(&findings);
    assert_eq!((warning.severity, warning.subject), (Severity::Warning, "row-level security"));
    assert!(warning.message.contains("anyone with that key"), "{warning}");

    // On and without a policy: the table looks empty, and nothing is an error.
    outside.run("ALTER TABLE channels_channel ENABLE ROW LEVEL SECURITY").await;
    let running = Running::with(public(), &[id(1)]);
    assert_eq!(running.directory.authorise("one").await, Ok(None));
    running.stop().await;
    let findings = check(public()).await;
    assert!(
        findings.iter().any(|f| f.severity == Severity::Warning && f.message.contains("SELECT policy")),
        "{findings:#?}"
    );

    // Read, but not updated.
    outside.run("CREATE POLICY reading ON channels_channel FOR SELECT TO anon USING (true)").await;
    assert_eq!(trouble(public()).await, TableError::UpdateHidden);

    // Updated, but not to what is asked.
    outside.run("CREATE POLICY writing ON channels_channel FOR UPDATE TO anon USING (true) WITH CHECK (NOT is_on_live)").await;
    assert_eq!(trouble(public()).await, TableError::RowSecurity);

    // Mended while it runs.
    outside.run("ALTER POLICY writing ON channels_channel WITH CHECK (true)").await;
    let running = Running::with(public(), &[id(1)]);
    until("the row to be live", async || outside.row(id(1)).await.is_on_live).await;
    running.stop().await;

    // No grant at all.
    outside.run("REVOKE UPDATE ON channels_channel FROM anon").await;
    assert!(matches!(trouble(public()).await, TableError::PermissionDenied(_)));
    let findings = check(public()).await;
    assert_eq!((worst(&findings).severity, worst(&findings).subject), (Severity::Error, "update"));
    outside.run("REVOKE SELECT ON channels_channel FROM anon").await;
    let findings = check(public()).await;
    assert_eq!((worst(&findings).severity, worst(&findings).subject), (Severity::Error, "read"));

    // The secret key is above all that.
    let findings = check(with_key(&outside, &folder, SECRET)).await;
    assert_eq!(worst(&findings).severity, Severity::Good, "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_changes_nothing() {
    let outside = Outside::supabase().await;
    let folder = tempfile::tempdir().unwrap();
    outside.insert(id(1), "one", true).await;
    outside.insert(uuid::Uuid::nil(), "nil", true).await;
    let before = (outside.row(id(1)).await, outside.row(uuid::Uuid::nil()).await);
    check(with_key(&outside, &folder, SECRET)).await;
    assert_eq!((outside.row(id(1)).await, outside.row(uuid::Uuid::nil()).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_tables_and_columns_are_named() {
    let outside = Outside::supabase().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = with_key(&outside, &folder, SECRET);
    config.table = "channels".parse().unwrap();
    assert_eq!(trouble(config.clone()).await, TableError::MissingTable("channels".into()));
    assert_eq!(worst(&check(config).await).severity, Severity::Error);
    let mut config = with_key(&outside, &folder, SECRET);
    config.columns.last_status = Some("status".parse().unwrap());
    let TableError::MissingColumn(said) = trouble(config.clone()).await else { panic!() };
    assert!(said.contains("'status'"), "{said}");
    let findings = check(config).await;
    assert!(worst(&findings).message.contains("status"), "{findings:#?}");
    // A column that is not there can be left out.
    outside.insert(id(1), "one", false).await;
    outside.run("ALTER TABLE channels_channel DROP COLUMN cover, DROP COLUMN last_status").await;
    let mut config = with_key(&outside, &folder, SECRET);
    (config.columns.last_status, config.columns.cover) = (None, None);
    assert_eq!(worst(&check(config).await).severity, Severity::Good);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_postgrest_is_served_without_what_it_does_not_know() {
    let outside = Outside::supabase().await;
    outside.rest().set_version(12);
    let folder = tempfile::tempdir().unwrap();
    outside.insert(id(1), "one", false).await;
    let running = Running::with(with_key(&outside, &folder, SECRET), &[id(1)]);
    until("the row to be live", async || outside.row(id(1)).await.is_on_live).await;
    running.stop().await;
    let patches = outside.rest().take_requests().into_iter().filter(|request| request.method == "PATCH");
    let prefers: Vec<String> =
        patches.map(|request| request.headers["prefer"].to_str().unwrap().to_owned()).collect();
    assert!(prefers[0].contains("max-affected"), "{prefers:?}");
    assert!(prefers[1..].iter().all(|prefer| prefer == "return=minimal"), "{prefers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_are_not_unique_are_never_written_twice() {
    let outside = Outside::supabase().await;
    let folder = tempfile::tempdir().unwrap();
    outside.run("ALTER TABLE channels_channel DROP CONSTRAINT channels_channel_pkey").await;
    outside.insert(id(1), "one", false).await;
    outside.insert(id(1), "two", false).await;
    assert_eq!(trouble(with_key(&outside, &folder, SECRET)).await, TableError::TooManyRows);
    let postgres = outside.number("SELECT count(*) FROM channels_channel WHERE is_on_live").await;
    assert_eq!(postgres, 0, "none of the two was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_fails_is_waited_for() {
    let outside = Outside::supabase().await;
    let folder = tempfile::tempdir().unwrap();
    outside.insert(id(1), "one", false).await;
    for status in [502, 429, 503] {
        outside.rest().set_broken(Some(status));
        let running = Running::with(with_key(&outside, &folder, SECRET), &[id(1)]);
        until("trouble", async || running.directory.trouble().is_some()).await;
        assert!(running.directory.trouble().unwrap().is_temporary());
        assert_eq!(running.directory.authorise("one").await, Err(Unavailable));
        outside.rest().set_broken(None);
        until("the row to be live", async || outside.row(id(1)).await.is_on_live).await;
        running.stop().await;
    }
}

/// PostgreSQL itself counts how the table was read.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_among_a_million_rows_reads_one() {
    let outside = Outside::supabase().await;
    let folder = tempfile::tempdir().unwrap();
    outside
        .run(
            "INSERT INTO channels_channel SELECT md5(n::text)::uuid, '', 'key ' || n, false, 'new', '', now() FROM \
             generate_series(1, 1000000) n; ANALYZE channels_channel",
        )
        .await;
    let count = async |what: &str| {
        let sql =
            format!("SELECT coalesce({what}, 0) FROM pg_stat_user_tables WHERE relname = 'channels_channel'");
        outside.number(&sql).await
    };
    // Sessions write their statistics when they idle.
    until("the rows to be counted", async || count("n_tup_ins").await >= 1_000_000).await;
    let (scans, look_ups, rows) =
        (count("seq_scan").await, count("idx_scan").await, count("idx_tup_fetch").await);
    let mut config = with_key(&outside, &folder, SECRET);
    // Its one pass over the table at start is not what is measured here.
    config.reconcile = false;
    let running = Running::start(config);
    let start = tokio::time::Instant::now();
    for n in (1..=1_000_000).step_by(20_000) {
        assert!(running.directory.authorise(&format!("key {n}")).await.unwrap().is_some());
        assert!(running.directory.authorise(&format!("no key {n}")).await.unwrap().is_none());
    }
    assert!(start.elapsed() < Duration::from_secs(20), "a hundred look-ups took {:?}", start.elapsed());
    until("the look-ups to be counted", async || count("idx_scan").await >= look_ups + 100).await;
    assert_eq!(count("seq_scan").await, scans);
    // The planner, too, looks a few up.
    let fetched = count("idx_tup_fetch").await - rows;
    assert!(fetched <= 1000, "{fetched} rows for a hundred look-ups");
}

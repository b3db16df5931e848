//! What `turepe doctor` will say, and tables of other shapes.

use turepe_directory::{Directory, DirectoryConfig, Finding, Severity, TableError};

use crate::support::{Outside, Running, id, until};

crate::on_each_kind!(a_sound_table_is_found_good_and_what_lacks_is_named, a_table_that_is_away_is_an_error);

fn worst(findings: &[Finding]) -> &Finding {
    findings.iter().max_by_key(|finding| finding.severity).unwrap()
}

async fn check(config: DirectoryConfig) -> Vec<Finding> {
    let clock = std::sync::Arc::new(world::SystemClock);
    Directory::open(config, std::sync::Arc::new(world::SystemDisk), clock).unwrap().check().await
}

async fn trouble(config: DirectoryConfig) -> TableError {
    let running = Running::with(config, &[id(1)]);
    until("trouble", async || running.directory.trouble().is_some()).await;
    let trouble = running.directory.trouble().unwrap();
    running.kill().await;
    trouble
}

async fn a_sound_table_is_found_good_and_what_lacks_is_named(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    let config = || outside.config(folder.path().join("directory.json"));
    let findings = check(config()).await;
    assert!(worst(&findings).message.contains("empty"), "{findings:#?}");
    outside.insert(id(1), "one", true).await;
    let before = outside.row(id(1)).await;
    let findings = check(config()).await;
    assert_eq!(worst(&findings).severity, Severity::Good, "{findings:#?}");
    let subjects: Vec<_> = findings.iter().map(|finding| finding.subject).filter(|s| *s != "key").collect();
    assert_eq!(subjects, ["reach", "read", "update"]);
    assert_eq!(outside.row(id(1)).await, before, "a check changes nothing");

    let mut other = config();
    other.table = "club_channels".parse().unwrap();
    assert_eq!(trouble(other.clone()).await, TableError::MissingTable("club_channels".into()));
    assert!(worst(&check(other).await).message.contains("`club_channels`"));
    for change in
        [(|config| config.columns.id = "uuid".parse().unwrap()) as fn(&mut DirectoryConfig), |config| {
            config.columns.last_status = Some("uuid".parse().unwrap())
        }]
    {
        let mut other = config();
        change(&mut other);
        let trouble = trouble(other.clone()).await;
        assert!(matches!(&trouble, TableError::MissingColumn(said) if said.contains("uuid")), "{trouble:?}");
        assert!(worst(&check(other).await).message.contains("uuid"));
    }
    let mut other = config();
    other.columns.id = "stream_id".parse().unwrap();
    assert!(worst(&check(other).await).message.contains("no UUIDs"));
}

async fn a_table_that_is_away_is_an_error(outside: &mut Outside) {
    let folder = tempfile::tempdir().unwrap();
    outside.server.stop().unwrap();
    let findings = check(outside.config(folder.path().join("directory.json"))).await;
    assert_eq!(
        (worst(&findings).severity, worst(&findings).subject),
        (Severity::Error, "reach"),
        "{findings:#?}"
    );
}

async fn refuses_strangers(outside: &Outside) {
    let folder = tempfile::tempdir().unwrap();
    let stranger = outside.config_as("stranger", folder.path().join("directory.json"));
    let trouble = trouble(stranger.clone()).await;
    assert!(matches!(trouble, TableError::WrongKey(_)), "{trouble:?}");
    let findings = check(stranger).await;
    assert!(findings.iter().all(|finding| !finding.message.contains("hunter2")), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tells_users_grants_and_policies_apart() {
    let outside = Outside::postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let config = || outside.config_as("club", folder.path().join("directory.json"));
    outside.insert(id(1), "one", false).await;
    refuses_strangers(&outside).await;
    outside.run("CREATE ROLE club LOGIN; GRANT SELECT ON channels_channel TO club").await;
    assert!(matches!(trouble(config()).await, TableError::PermissionDenied(_)));
    assert_eq!(worst(&check(config()).await).subject, "update");
    outside.run("GRANT UPDATE ON channels_channel TO club; ALTER TABLE channels_channel ENABLE ROW LEVEL SECURITY").await;
    let findings = check(config()).await;
    assert_eq!(
        (worst(&findings).severity, worst(&findings).subject),
        (Severity::Error, "row-level security")
    );
    outside.run("CREATE POLICY reading ON channels_channel FOR SELECT TO club USING (true)").await;
    assert_eq!(trouble(config()).await, TableError::UpdateHidden);
    outside.run("CREATE POLICY writing ON channels_channel FOR UPDATE TO club USING (true)").await;
    assert_eq!(worst(&check(config()).await).severity, Severity::Hint);
    let running = Running::with(config(), &[id(1)]);
    until("the row to be live", async || outside.row(id(1)).await.is_on_live).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_tells_users_and_grants_apart() {
    let outside = Outside::mysql().await;
    let folder = tempfile::tempdir().unwrap();
    let config = || outside.config_as("club", folder.path().join("directory.json"));
    outside.insert(id(1), "one", false).await;
    refuses_strangers(&outside).await;
    outside.run("CREATE USER club@'127.0.0.1' IDENTIFIED BY 'hunter2'; GRANT SELECT ON club.channels_channel TO club@'127.0.0.1'").await;
    assert!(matches!(trouble(config()).await, TableError::PermissionDenied(_)));
    outside.run("GRANT UPDATE ON club.channels_channel TO club@'127.0.0.1'").await;
    assert_eq!(worst(&check(config()).await).severity, Severity::Good);
    let running = Running::with(config(), &[id(1)]);
    until("the row to be live", async || outside.row(id(1)).await.is_on_live).await;
    running.stop().await;
}

/// A table whose ids have another type, with one row.
async fn works_with_ids_as(outside: &Outside, table: &str, kind: &str, id_text: &str) {
    let folder = tempfile::tempdir().unwrap();
    outside
        .run(&format!(
            "CREATE TABLE {table} (id {kind} PRIMARY KEY, stream_id varchar(255), is_on_live boolean); \
             INSERT INTO {table} VALUES ({id_text}, 'one', false)"
        ))
        .await;
    let mut config = outside.config(folder.path().join("directory.json"));
    config.table = table.parse().unwrap();
    (config.columns.last_status, config.columns.cover, config.columns.modified) = (None, None, None);
    let running = Running::start(config);
    assert_eq!(
        running.directory.authorise("one").await.unwrap().map(|channel| channel.id),
        Some(id(7)),
        "{kind}"
    );
    let live = format!("SELECT count(*) FROM {table} WHERE is_on_live = true");
    running.publish(id(7));
    until("the row to be live", async || outside.number(&live).await == 1).await;
    running.stop().await;
    assert_eq!(outside.number(&live).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_may_be_of_any_type_that_holds_a_uuid() {
    let (hyphenated, simple) = (id(7).to_string(), id(7).simple().to_string());
    let outside = Outside::postgres().await;
    works_with_ids_as(&outside, "as_text", "text", &format!("'{hyphenated}'")).await;
    works_with_ids_as(&outside, "as_char", "varchar(36)", &format!("'{hyphenated}'")).await;
    let outside = Outside::mysql().await;
    works_with_ids_as(&outside, "as_char", "char(36)", &format!("'{hyphenated}'")).await;
    works_with_ids_as(&outside, "as_simple", "char(32)", &format!("'{simple}'")).await;
    works_with_ids_as(&outside, "as_binary", "binary(16)", &format!("x'{simple}'")).await;
    works_with_ids_as(&outside, "club.as_uuid", "uuid", &format!("'{hyphenated}'")).await;
}

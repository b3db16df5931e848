//! `turepe migrate` from below: where a schema stands, bringing it up to date, copying a catalog.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::collections::BTreeMap;

use access::Scope;
use databases::{Engine, Home};
use media::EndCause;
use sea_orm::{ConnectionTrait as _, Database};
use turepe_catalog::{
    Catalog, CatalogError, CopyProgress, DatabaseOptions, DeletionReason, Maintenance, NewChannel,
    NewProtection, NewRelayTarget, NewSlotCode, NewViewingLink, Place, SealedSegment, Source, copy,
};

mod common;
use common::{DAY, SECOND, channel, new_segment, record, sealed};

const QUARTER: i64 = 900 * SECOND;

fn options(home: &Home) -> DatabaseOptions {
    DatabaseOptions::new(home.url.as_str())
}

async fn a_schema_is_looked_at_printed_and_brought_up_to_date(home: Home) {
    let mut database = Maintenance::open(&options(&home)).await.unwrap();
    let before = database.status().await.unwrap();
    assert!(before.applied.is_empty() && before.unknown.is_empty());
    assert_eq!(before.pending.first(), Some(&"m0001_first"));
    let sql = database.pending_sql().await.unwrap();
    assert!(sql.iter().any(|statement| statement.contains("CREATE TABLE") && statement.contains("clubs")));
    assert_eq!(database.status().await.unwrap(), before, "looking changes nothing");
    if let Some(folder) = home.folder() {
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "not even a file");
    }

    database.up().await.unwrap();
    let after = database.status().await.unwrap();
    assert_eq!(after.applied, before.pending);
    assert!(after.pending.is_empty() && database.pending_sql().await.unwrap().is_empty());
    database.up().await.unwrap();
    database.close().await.unwrap();
    Catalog::open(&home.url).await.unwrap().clubs().await.unwrap();
}

/// What was printed is what would be done: the statements alone make the schema.
async fn the_printed_statements_make_the_schema(home: Home) {
    let database = Maintenance::open(&options(&home)).await.unwrap();
    let sql = database.pending_sql().await.unwrap();
    database.close().await.unwrap();
    let url = if home.engine == Engine::Sqlite { format!("{}?mode=rwc", home.url) } else { home.url.clone() };
    let stranger = Database::connect(url).await.unwrap();
    for statement in sql {
        stranger.execute_unprepared(&statement).await.unwrap();
    }
    stranger.close().await.unwrap();
    let database = Maintenance::open(&options(&home)).await.unwrap();
    assert!(database.status().await.unwrap().pending.is_empty());
    let catalog = Catalog::open(&home.url).await.unwrap();
    let channel = channel(&catalog).await.1;
    record(&catalog, channel.id, DAY, DAY + QUARTER).await;
}

/// Something in every table.
async fn fill(catalog: &Catalog) {
    let (club, court_channel, _) = channel(catalog).await;
    catalog.set_schedule(club.id, "09:00-22:00".parse().unwrap(), 60, DAY).await.unwrap();
    catalog.set_retention(club.id, Some(30)).await.unwrap();
    let source = Source::Pull("rtsp://admin:pass@10.0.0.7/ñ".into());
    catalog.create_channel(NewChannel { court_id: None, name: "Cámara 🎾".into(), source }).await.unwrap();
    let rows = (0..1_234_i64).map(|number| {
        let start_us = DAY + number * QUARTER;
        (new_segment(catalog, court_channel.id, start_us), sealed(start_us + QUARTER))
    });
    let rows: Vec<_> = rows.collect();
    let first = rows[0].0.id;
    assert_eq!(catalog.insert_sealed_segments(rows).await.unwrap(), 1_234);
    catalog.insert_segment(new_segment(catalog, court_channel.id, DAY - QUARTER)).await.unwrap();
    let new = new_segment(catalog, court_channel.id, DAY - 2 * QUARTER);
    let to_bucket = SealedSegment { place: Place::ToBucket, ..sealed(DAY - QUARTER) };
    catalog.insert_segment(new.clone()).await.unwrap();
    catalog.seal_segment(new.id, to_bucket).await.unwrap();
    catalog.begin_upload(new.id, "upload-1", 8_000_000).await.unwrap();
    catalog.put_upload_part(new.id, 1, "etag-1").await.unwrap();
    catalog.put_upload_part(new.id, 2, "etag-2").await.unwrap();
    let protected = NewProtection {
        channel_id: court_channel.id,
        from_us: DAY,
        to_us: DAY + QUARTER,
        reason: "final".into(),
    };
    catalog.protect(protected).await.unwrap();
    let target = NewRelayTarget {
        channel_id: court_channel.id,
        name: Some("Big screen".into()),
        url: "rtmp://target.example/live/key".into(),
    };
    catalog.add_relay_target(target).await.unwrap();
    catalog.delete_segments(&[first], DeletionReason::Admin, Some(EndCause::Unknown)).await.unwrap();
    catalog.put_init("0123456789abcdef0123456789abcdef", &[0, 159, 146, 150]).await.unwrap();
    for (start_us, end_us) in [(DAY - 9 * QUARTER, DAY - 8 * QUARTER), (DAY - 7 * QUARTER, DAY - 6 * QUARTER)]
    {
        catalog.open_gap(court_channel.id, start_us, EndCause::Camera).await.unwrap();
        catalog.close_gap(court_channel.id, end_us).await.unwrap();
    }
    catalog.secret("media").await.unwrap();
    let court_id = court_channel.court_id;
    let link = NewViewingLink {
        club_id: club.id,
        court_id,
        scope: Scope::All,
        note: Some("El entrenador".into()),
        expires_us: i64::MAX,
    };
    catalog.create_link(link).await.unwrap();
    let code = NewSlotCode {
        court_id: court_id.unwrap(),
        start_us: DAY,
        end_us: DAY + QUARTER,
        expires_us: i64::MAX,
    };
    catalog.create_slot_code(code).await.unwrap();
    let attempt = [("address 203.0.113.7".to_owned(), access::PER_ADDRESS)];
    catalog.count_attempt(&attempt).await.unwrap().unwrap();
    let node = catalog.for_node(catalog.new_id());
    node.begin_run("norte", catalog.new_id()).await.unwrap();
    node.insert_segment(new_segment(catalog, court_channel.id, DAY - 3 * QUARTER)).await.unwrap();
}

/// Everything that can be asked, as text.
async fn everything(catalog: &Catalog) -> Vec<String> {
    let mut all = vec![
        format!("{:?}", catalog.clubs().await.unwrap()),
        format!("{:?}", catalog.channels().await.unwrap()),
        format!("{:?}", catalog.growing_segments().await.unwrap()),
        format!("{:?}", catalog.unstored().await.unwrap()),
        format!("{:?}", catalog.deletions(None, 100).await.unwrap()),
        format!("{:?}", catalog.relay_targets().await.unwrap()),
        format!("{:?}", catalog.nodes().await.unwrap()),
        format!("{:?}", catalog.node_holdings().await.unwrap()),
        format!("{:?}", catalog.init("0123456789abcdef0123456789abcdef").await.unwrap()),
        format!("{:?}", catalog.secret("media").await.unwrap()),
    ];
    for club in catalog.clubs().await.unwrap() {
        all.push(format!("{:?}", catalog.links(club.id).await.unwrap()));
    }
    for channel in catalog.channels().await.unwrap() {
        if let Some(court_id) = channel.court_id {
            all.push(format!("{:?}", catalog.slot_codes(court_id, 0, i64::MAX).await.unwrap()));
        }
        let segments = catalog.segments_in_range(channel.id, 0, i64::MAX).await.unwrap();
        let ids: Vec<_> = segments.iter().map(|segment| segment.id).collect();
        all.push(format!("{segments:?}"));
        all.push(format!("{:?}", catalog.segment_indexes(&ids).await.unwrap()));
        all.push(format!("{:?}", catalog.gaps_in_range(channel.id, 0, i64::MAX).await.unwrap()));
        all.push(format!("{:?}", catalog.protections(channel.id, 0, 100).await.unwrap()));
        all.push(format!("{:?}", catalog.footage(channel.id).await.unwrap()));
        for id in ids.iter().take(3) {
            all.push(format!("{:?}", catalog.upload(*id).await.unwrap()));
        }
    }
    all
}

async fn a_copy_has_everything_and_is_counted(home: Home) {
    let source = Home::new(Engine::Sqlite);
    let original = Catalog::open(&source.url).await.unwrap();
    fill(&original).await;
    let mut seen: BTreeMap<&str, CopyProgress> = BTreeMap::new();
    let mut progress = |now: CopyProgress| {
        let before = seen.insert(now.table, now);
        assert!(now.done <= now.total && before.is_none_or(|before| before.done <= now.done));
    };
    let copied = copy(&options(&source), &options(&home), &mut progress).await.unwrap();
    assert_eq!(copied.len(), 20);
    assert!(copied.iter().all(|table| table.rows > 0), "the test fills every table: {copied:?}");
    for table in &copied {
        let last = seen[table.table];
        assert_eq!((last.done, last.total), (table.rows, table.rows));
    }
    let there = Catalog::open(&home.url).await.unwrap();
    assert_eq!(everything(&there).await, everything(&original).await);

    let again = copy(&options(&source), &options(&home), &mut |_| {}).await.unwrap_err();
    assert!(matches!(again, CatalogError::NotEmpty { table: "clubs", rows: 1 }), "{again}");

    // And home again, from whatever engine this is.
    let back = Home::new(Engine::Sqlite);
    copy(&options(&home), &options(&back), &mut |_| {}).await.unwrap();
    assert_eq!(everything(&Catalog::open(&back.url).await.unwrap()).await, everything(&original).await);
}

async fn a_copy_that_was_cut_off_is_no_catalog_and_is_begun_again(home: Home) {
    let source = Home::new(Engine::Sqlite);
    let original = Catalog::open(&source.url).await.unwrap();
    fill(&original).await;
    let (from, to) = (options(&source), options(&home));
    let cut = tokio::spawn(async move {
        let mut progress = |now: CopyProgress| {
            assert!(now.table != "segment_indexes" || now.done == 0, "the end of the world");
        };
        copy(&from, &to, &mut progress).await
    });
    assert!(cut.await.is_err());
    let error = Catalog::open(&home.url).await.unwrap_err();
    assert!(matches!(error, CatalogError::UnfinishedCopy), "{error}");
    let from_it = copy(&options(&home), &options(&Home::new(Engine::Sqlite)), &mut |_| {}).await.unwrap_err();
    assert!(matches!(from_it, CatalogError::UnfinishedCopy), "{from_it}");

    copy(&options(&source), &options(&home), &mut |_| {}).await.unwrap();
    assert_eq!(everything(&Catalog::open(&home.url).await.unwrap()).await, everything(&original).await);
}

#[tokio::test]
async fn only_a_catalog_is_copied() {
    let nothing = Home::new(Engine::Sqlite);
    let target = Home::new(Engine::Sqlite);
    let error = copy(&options(&nothing), &options(&target), &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, CatalogError::NoDatabase), "{error}");
    let error = copy(&options(&target), &options(&target), &mut |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("the same"), "{error}");
}

databases::on_every_engine![
    a_schema_is_looked_at_printed_and_brought_up_to_date,
    the_printed_statements_make_the_schema,
    a_copy_has_everything_and_is_counted,
    a_copy_that_was_cut_off_is_no_catalog_and_is_begun_again,
];

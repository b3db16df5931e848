//! What the catalog remembers, the same on every engine.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping")]

use std::path::Path;
use std::sync::Arc;

use databases::Home;
use media::EndCause;
use turepe_catalog::{
    Catalog, CatalogError, GapRow, InvalidInput, Kind, LiveAccess, MAX_SEGMENT_US, NewChannel, NewClub,
    SegmentState, Source,
};
use uuid::Uuid;
use world::SimulatedClock;

mod common;
use common::{DAY, SECOND, catalog, channel, new_club, new_segment, record, sealed};

/// The whole file as text, log included: to look for what must not be in it.
fn everything_in(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

async fn a_club_is_found_as_it_was_created(home: Home) {
    let catalog = catalog(&home).await;
    let mut new = new_club("padel-norte");
    new.name = "  Pádel Norte 🎾 ".into();
    new.zone = "america/santiago".into();
    new.hours = "mon-fri 08:00-23:00; sat,sun 09:00-02:00".parse().unwrap();
    let club = catalog.create_club(new.clone()).await.unwrap();
    assert_eq!(club.name, "Pádel Norte 🎾");
    assert_eq!(club.zone, "America/Santiago");
    assert_eq!(club.schedules.len(), 1);
    assert_eq!(club.current_schedule(DAY).hours, new.hours);
    assert_eq!(catalog.club_by_slug("padel-norte").await.unwrap().as_ref(), Some(&club));
    assert_eq!(catalog.club(club.id).await.unwrap().as_ref(), Some(&club));
    assert_eq!(catalog.clubs().await.unwrap(), [club]);
    assert_eq!(catalog.club_by_slug("PADEL-NORTE").await.unwrap(), None);
    assert_eq!(catalog.club_by_slug("' OR 1=1 --").await.unwrap(), None);
}

async fn what_cannot_be_a_club_is_refused_and_says_why(home: Home) {
    let catalog = catalog(&home).await;
    let refused = async |change: fn(&mut NewClub)| {
        let mut new = new_club("norte");
        change(&mut new);
        match catalog.create_club(new).await {
            Err(CatalogError::Invalid(reason)) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|new| new.slug = "Norte".into()).await, InvalidInput::Slug("Norte".into()));
    assert_eq!(refused(|new| new.slug = "api".into()).await, InvalidInput::ReservedSlug("api".into()));
    assert_eq!(refused(|new| new.name = " ".into()).await, InvalidInput::Name);
    assert_eq!(refused(|new| new.zone = "Madrid".into()).await, InvalidInput::Zone("Madrid".into()));
    for minutes in [0, 1441, u32::MAX] {
        let mut new = new_club("norte");
        new.appointment_duration_min = minutes;
        let error = catalog.create_club(new).await.unwrap_err();
        assert_eq!(error.to_string(), format!("an appointment lasts 1 to 1440 minutes, not {minutes}"));
    }
    assert!(catalog.clubs().await.unwrap().is_empty());

    catalog.create_club(new_club("norte")).await.unwrap();
    let error = catalog.create_club(new_club("norte")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is already a club with the slug `norte`; choose another");
    assert!(matches!(error, CatalogError::SlugTaken { kind: Kind::Club, .. }));
}

async fn a_schedule_is_added_or_replaced_but_the_past_stays(home: Home) {
    let catalog = catalog(&home).await;
    let club = catalog.create_club(new_club("norte")).await.unwrap();
    let hours = "09:00-22:00".parse::<turepe_catalog::WeekHours>().unwrap();
    catalog.set_schedule(club.id, hours.clone(), 45, DAY).await.unwrap();
    let changed = catalog.set_schedule(club.id, hours.clone(), 60, DAY).await.unwrap();
    assert_eq!(catalog.club_by_slug("norte").await.unwrap().as_ref(), Some(&changed));
    assert_eq!(catalog.clubs().await.unwrap(), std::slice::from_ref(&changed));
    assert_eq!(changed.schedules.len(), 2);
    assert_eq!(changed.current_schedule(DAY - 1), club.current_schedule(0));
    assert_eq!(changed.current_schedule(DAY).appointment_duration_min, 60);
    assert_eq!(changed.current_schedule(DAY).hours, hours);
    let error = catalog.set_schedule(Uuid::nil(), hours.clone(), 60, DAY).await.unwrap_err();
    assert!(matches!(error, CatalogError::NotFound(Kind::Club)));
    let error = catalog.set_schedule(club.id, hours, 0, DAY).await.unwrap_err();
    assert!(matches!(error, CatalogError::Invalid(InvalidInput::AppointmentDuration(0))));
}

async fn courts_keep_their_order_and_their_slugs_are_the_clubs_own(home: Home) {
    let catalog = catalog(&home).await;
    let norte = catalog.create_club(new_club("norte")).await.unwrap();
    let sur = catalog.create_club(new_club("sur")).await.unwrap();
    for (position, slug) in ["central", "z", "a"].into_iter().enumerate() {
        let court = catalog.create_court(norte.id, slug, slug).await.unwrap();
        assert_eq!(court.position as usize, position);
    }
    let other = catalog.create_court(sur.id, "central", "Central").await.unwrap();
    let slugs: Vec<String> =
        catalog.courts(norte.id).await.unwrap().into_iter().map(|court| court.slug).collect();
    assert_eq!(slugs, ["central", "z", "a"]);
    assert_eq!(catalog.court_by_slug(sur.id, "central").await.unwrap(), Some(other.clone()));
    assert_eq!(catalog.court(other.id).await.unwrap(), Some(other));
    assert_eq!(catalog.court_by_slug(sur.id, "z").await.unwrap(), None);

    let error = catalog.create_court(norte.id, "z", "Again").await.unwrap_err();
    assert!(
        matches!(error, CatalogError::SlugTaken { kind: Kind::Court, ref slug } if slug == "z"),
        "{error}"
    );
    let error = catalog.create_court(Uuid::nil(), "z", "Nowhere").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no such club");
}

async fn a_stream_key_opens_its_channel_and_is_nowhere_to_be_read(home: Home) {
    let catalog = catalog(&home).await;
    let (club, channel, key) = channel(&catalog).await;
    let route = catalog.channel_by_key(&key).await.unwrap().unwrap();
    assert_eq!(route.channel, channel);
    assert_eq!((route.club_slug.as_deref(), route.court_slug.as_deref()), (Some("norte"), Some("central")));
    assert_eq!(catalog.channel_route(channel.id).await.unwrap(), Some(route.clone()));
    assert_eq!(catalog.channel_routes().await.unwrap(), std::slice::from_ref(&route));
    for wrong in ["", "x", &key.to_uppercase(), &key[1..], &"k".repeat(10_000), "' OR '1'='1"] {
        assert_eq!(catalog.channel_by_key(wrong).await.unwrap(), None, "{wrong}");
    }
    if let Some(folder) = home.folder() {
        assert!(!contains(&everything_in(folder), key.as_bytes()), "only the hash is stored");
    }
    assert!(!format!("{route:?} {club:?} {catalog:?}").contains(&key));

    let fresh = catalog.rotate_key(channel.id).await.unwrap();
    assert_eq!(catalog.channel_by_key(&key).await.unwrap(), None, "the old key opens nothing");
    assert_eq!(catalog.channel_by_key(&fresh).await.unwrap(), Some(route));
    assert!(matches!(catalog.rotate_key(Uuid::nil()).await, Err(CatalogError::NotFound(Kind::Channel))));
}

async fn a_pulled_channel_has_an_address_and_no_key(home: Home) {
    let catalog = catalog(&home).await;
    let source = Source::Pull("rtsp://admin:hunter2@10.0.0.7:554/stream1".into());
    let new = NewChannel { court_id: None, name: "Cámara".into(), source: source.clone() };
    let (channel, key) = catalog.create_channel(new).await.unwrap();
    assert_eq!(key, None);
    assert_eq!(channel.source, source);
    assert_eq!(catalog.channel(channel.id).await.unwrap(), Some(channel.clone()));
    let route = catalog.channel_route(channel.id).await.unwrap().unwrap();
    assert_eq!((route.club_slug.as_deref(), route.court_slug.as_deref()), (None, None));
    assert!(!format!("{route:?}").contains("hunter2"));
    assert!(matches!(catalog.rotate_key(channel.id).await, Err(CatalogError::NoKey(id)) if id == channel.id));

    let nowhere = NewChannel { court_id: Some(Uuid::nil()), name: "x".into(), source: Source::Push };
    assert!(matches!(catalog.create_channel(nowhere).await, Err(CatalogError::NotFound(Kind::Court))));
    let no_camera =
        NewChannel { court_id: None, name: "x".into(), source: Source::Pull("http://x:hunter2@y".into()) };
    let error = catalog.create_channel(no_camera).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

async fn names_change_and_only_what_is_empty_goes(home: Home) {
    let catalog = catalog(&home).await;
    let (club, channel, _) = channel(&catalog).await;
    let court_id = channel.court_id.unwrap();
    catalog.rename_club(club.id, "Norte II").await.unwrap();
    catalog.rename_court(court_id, "Pista 1").await.unwrap();
    catalog.rename_channel(channel.id, "Red").await.unwrap();
    assert_eq!(catalog.club(club.id).await.unwrap().unwrap().name, "Norte II");
    assert_eq!(catalog.courts(club.id).await.unwrap()[0].name, "Pista 1");
    assert_eq!(catalog.channels_of_court(court_id).await.unwrap()[0].name, "Red");
    assert!(matches!(catalog.rename_court(club.id, "x").await, Err(CatalogError::NotFound(Kind::Court))));

    let segment = record(&catalog, channel.id, DAY, DAY + SECOND).await;
    catalog.open_gap(channel.id, DAY + SECOND, EndCause::Camera).await.unwrap();
    let error = catalog.remove_club(club.id).await.unwrap_err();
    assert_eq!(error.to_string(), "the club still has courts; remove that first");
    assert!(matches!(
        catalog.remove_court(court_id).await,
        Err(CatalogError::InUse { kind: Kind::Court, .. })
    ));
    let error = catalog.remove_channel(channel.id).await.unwrap_err();
    assert_eq!(error.to_string(), "the channel still has recordings; remove that first");

    assert!(catalog.delete_segment(segment).await.unwrap());
    assert!(!catalog.delete_segment(segment).await.unwrap());
    catalog.remove_channel(channel.id).await.unwrap();
    catalog.remove_court(court_id).await.unwrap();
    catalog.remove_club(club.id).await.unwrap();
    assert!(matches!(catalog.remove_club(club.id).await, Err(CatalogError::NotFound(Kind::Club))));
    assert!(catalog.clubs().await.unwrap().is_empty());
}

async fn a_segment_grows_and_is_sealed_once(home: Home) {
    let catalog = catalog(&home).await;
    let (_, channel, _) = channel(&catalog).await;
    let new = new_segment(&catalog, channel.id, DAY);
    catalog.insert_segment(new.clone()).await.unwrap();
    let growing = catalog.segment(new.id).await.unwrap().unwrap();
    assert_eq!((growing.state, growing.end_us, growing.size_bytes), (SegmentState::Growing, None, 0));
    assert_eq!(catalog.growing_segments().await.unwrap(), [growing]);
    assert!(catalog.segment_indexes(&[new.id]).await.unwrap().is_empty());
    assert!(
        matches!(catalog.insert_segment(new.clone()).await, Err(CatalogError::SegmentTaken(id)) if id == new.id)
    );

    for end_us in [DAY, DAY - 1, DAY + MAX_SEGMENT_US + 1, i64::MAX] {
        let error = catalog.seal_segment(new.id, sealed(end_us)).await.unwrap_err();
        assert!(matches!(error, CatalogError::Invalid(InvalidInput::SegmentDuration { .. })), "{error}");
    }
    let mut huge = sealed(DAY + SECOND);
    huge.size_bytes = u64::MAX;
    let error = catalog.seal_segment(new.id, huge).await.unwrap_err();
    assert!(matches!(error, CatalogError::Invalid(InvalidInput::TooLarge { .. })), "{error}");
    assert_eq!(catalog.growing_segments().await.unwrap().len(), 1, "a refusal changes nothing");

    catalog.seal_segment(new.id, sealed(DAY + 900 * SECOND)).await.unwrap();
    let row = catalog.segment(new.id).await.unwrap().unwrap();
    assert_eq!((row.state, row.end_us), (SegmentState::Sealed, Some(DAY + 900 * SECOND)));
    assert_eq!((row.size_bytes, row.moov_offset), (450_000_000, 449_000_000));
    assert_eq!((row.object_name, row.init_hash), (new.object_name.clone(), new.init_hash.clone()));
    assert!(catalog.growing_segments().await.unwrap().is_empty());
    assert_eq!(catalog.segment_indexes(&[new.id]).await.unwrap(), [(new.id, vec![1, 2, 3])]);
    let again = catalog.seal_segment(new.id, sealed(DAY + 901 * SECOND)).await;
    assert!(matches!(again, Err(CatalogError::NotGrowing(id)) if id == new.id));
    let unknown = catalog.seal_segment(Uuid::nil(), sealed(DAY + SECOND)).await;
    assert!(matches!(unknown, Err(CatalogError::NotFound(Kind::Segment))));
    let nowhere = new_segment(&catalog, Uuid::nil(), DAY);
    assert!(matches!(catalog.insert_segment(nowhere).await, Err(CatalogError::NotFound(Kind::Channel))));

    assert!(catalog.delete_segment(new.id).await.unwrap());
    assert!(catalog.segment_indexes(&[new.id]).await.unwrap().is_empty(), "the index goes with the segment");
}

async fn a_range_has_the_segments_that_overlap_it(home: Home) {
    let catalog = catalog(&home).await;
    let (_, channel, _) = channel(&catalog).await;
    let court_id = channel.court_id;
    let other = NewChannel { court_id, name: "Otra".into(), source: Source::Push };
    let (other, _) = catalog.create_channel(other).await.unwrap();
    let minute = 60 * SECOND;
    // 00:00-00:15, 00:15-00:30, a gap of a minute, 00:31-00:45, and one that grows since 00:45.
    for (from, to) in [(0, 15), (15, 30), (31, 45)] {
        record(&catalog, channel.id, DAY + from * minute, DAY + to * minute).await;
        record(&catalog, other.id, DAY + from * minute, DAY + to * minute).await;
    }
    catalog.insert_segment(new_segment(&catalog, channel.id, DAY + 45 * minute)).await.unwrap();
    let starts = async |from: i64, to: i64| -> Vec<i64> {
        let rows = catalog.segments_in_range(channel.id, DAY + from, DAY + to).await.unwrap();
        rows.into_iter().map(|row| (row.start_us - DAY) / minute).collect()
    };
    assert_eq!(starts(0, 60 * minute).await, [0, 15, 31, 45]);
    assert_eq!(starts(-minute, 0).await, [0; 0], "the end of a range is outside it");
    assert_eq!(starts(-minute, 1).await, [0]);
    assert_eq!(starts(15 * minute - 1, 15 * minute).await, [0]);
    assert_eq!(starts(15 * minute, 15 * minute + 1).await, [15], "the end of a segment is outside it");
    assert_eq!(starts(30 * minute, 31 * minute).await, [0; 0]);
    assert_eq!(starts(50 * minute, 51 * minute).await, [45], "what grows has no end");
    assert_eq!(starts(minute, minute).await, [0; 0]);
    assert_eq!(starts(minute, 0).await, [0; 0]);
    let everything = catalog.segments_in_range(channel.id, i64::MIN, i64::MAX).await.unwrap();
    assert_eq!(everything.len(), 4);

    let spans = async |from: i64, to: i64| catalog.spans(channel.id, DAY + from, DAY + to).await.unwrap();
    assert_eq!(
        spans(0, 60 * minute).await,
        [(DAY, DAY + 30 * minute), (DAY + 31 * minute, DAY + 45 * minute)]
    );
    assert_eq!(
        spans(5 * minute, 32 * minute).await,
        [(DAY + 5 * minute, DAY + 30 * minute), (DAY + 31 * minute, DAY + 32 * minute)]
    );
    assert_eq!(spans(50 * minute, 60 * minute).await, [], "what grows is not here");

    let footage = catalog.footage(channel.id).await.unwrap();
    assert_eq!((footage.segments, footage.size_bytes), (4, 1_350_000_000));
    assert_eq!((footage.first_start_us, footage.last_end_us), (Some(DAY), Some(DAY + 45 * minute)));
    assert_eq!(catalog.footage(Uuid::nil()).await.unwrap(), turepe_catalog::Footage::default());
}

async fn the_longest_segment_is_found_by_its_last_instant(home: Home) {
    let catalog = catalog(&home).await;
    let (_, channel, _) = channel(&catalog).await;
    let id = record(&catalog, channel.id, DAY, DAY + MAX_SEGMENT_US).await;
    let last = DAY + MAX_SEGMENT_US - 1;
    let rows = catalog.segments_in_range(channel.id, last, last + 1).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].id, id);
    assert_eq!(catalog.spans(channel.id, last, last + 10).await.unwrap(), [(last, last + 1)]);
}

async fn indexes_come_in_the_order_asked_for(home: Home) {
    let catalog = catalog(&home).await;
    let (_, channel, _) = channel(&catalog).await;
    let mut ids = Vec::new();
    let mut bulk = Vec::new();
    for number in 0..1_200_u16 {
        let new = new_segment(&catalog, channel.id, DAY + i64::from(number) * SECOND);
        ids.push(new.id);
        let mut sealed = sealed(DAY + i64::from(number + 1) * SECOND);
        sealed.index = number.to_be_bytes().to_vec();
        bulk.push((new, sealed));
    }
    assert_eq!(catalog.insert_sealed_segments(bulk.clone()).await.unwrap(), 1_200);
    ids.reverse();
    ids.insert(7, Uuid::nil());
    let indexes = catalog.segment_indexes(&ids).await.unwrap();
    ids.remove(7);
    assert_eq!(indexes.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    assert_eq!(indexes[0].1, 1_199_u16.to_be_bytes());
    assert!(catalog.segment_indexes(&[]).await.unwrap().is_empty());
    assert!(matches!(catalog.insert_sealed_segments(bulk).await, Err(CatalogError::SegmentTaken(_))));
}

async fn a_gap_opens_once_and_closes_once(home: Home) {
    let catalog = catalog(&home).await;
    let (_, channel, _) = channel(&catalog).await;
    let id = channel.id;
    let gap = |start_us, end_us, cause| GapRow { start_us, end_us, cause };
    let gaps = async |from, to| catalog.gaps_in_range(id, from, to).await.unwrap();

    assert!(!catalog.close_gap(id, 5).await.unwrap(), "none is open");
    assert!(catalog.open_gap(id, 100, EndCause::Network).await.unwrap());
    assert!(!catalog.open_gap(id, 150, EndCause::Process).await.unwrap(), "the first cause stays");
    assert_eq!(gaps(0, 1_000).await, [gap(100, None, EndCause::Network)]);
    assert!(catalog.close_gap(id, 200).await.unwrap());
    assert!(!catalog.open_gap(id, 100, EndCause::Network).await.unwrap(), "told twice");
    assert_eq!(gaps(0, 1_000).await, [gap(100, Some(200), EndCause::Network)]);
    assert!(catalog.open_gap(id, 300, EndCause::Disk).await.unwrap());
    assert!(!catalog.close_gap(id, 299).await.unwrap(), "the end of an earlier one comes late");
    assert!(catalog.close_gap(id, 300).await.unwrap(), "one without length is forgotten");
    assert!(catalog.open_gap(id, 180, EndCause::Camera).await.unwrap());
    assert_eq!(
        gaps(0, 1_000).await,
        [gap(100, Some(200), EndCause::Network), gap(200, None, EndCause::Camera)]
    );
    assert!(catalog.close_gap(id, 400).await.unwrap());
    assert!(catalog.open_gap(id, 500, EndCause::Unknown).await.unwrap());

    assert_eq!(gaps(0, 100).await, []);
    assert_eq!(gaps(199, 200).await, [gap(100, Some(200), EndCause::Network)]);
    assert_eq!(gaps(200, 201).await, [gap(200, Some(400), EndCause::Camera)]);
    assert_eq!(gaps(400, 500).await, []);
    assert_eq!(gaps(450, 501).await, [gap(500, None, EndCause::Unknown)]);
    assert_eq!(gaps(i64::MAX - 1, i64::MAX).await, [gap(500, None, EndCause::Unknown)]);
    assert_eq!(gaps(50, 50).await, []);
    assert_eq!(catalog.gaps_in_range(Uuid::nil(), 0, 1_000).await.unwrap(), []);
    assert!(matches!(
        catalog.open_gap(Uuid::nil(), 1, EndCause::Disk).await,
        Err(CatalogError::NotFound(Kind::Channel))
    ));
}

async fn inits_are_kept_once_and_for_ever(home: Home) {
    let catalog = catalog(&home).await;
    catalog.put_init("abc", b"ftypmoov").await.unwrap();
    catalog.put_init("abc", b"ftypmoov").await.unwrap();
    assert_eq!(catalog.init("abc").await.unwrap().as_deref(), Some(b"ftypmoov".as_slice()));
    assert_eq!(catalog.init("abd").await.unwrap(), None);
    let long = "a".repeat(65);
    assert!(matches!(catalog.put_init(&long, b"").await, Err(CatalogError::Invalid(InvalidInput::Text(_)))));
}

async fn everything_outlives_a_restart(home: Home) {
    let catalog = catalog(&home).await;
    let (club, channel, key) = channel(&catalog).await;
    let id = record(&catalog, channel.id, DAY, DAY + SECOND).await;
    let secret = catalog.secret("media").await.unwrap();
    assert_ne!(secret, catalog.secret("session").await.unwrap());
    catalog.close().await.unwrap();
    assert!(catalog.ping().await.is_err());

    let again = Catalog::open(&home.url).await.unwrap();
    again.ping().await.unwrap();
    assert_eq!(again.clubs().await.unwrap(), [club]);
    assert_eq!(again.channel_by_key(&key).await.unwrap().unwrap().channel, channel);
    assert_eq!(again.segment(id).await.unwrap().unwrap().id, id);
    assert_eq!(again.secret("media").await.unwrap(), secret);
}

async fn the_clock_stamps_rows_and_orders_ids(home: Home) {
    let clock = Arc::new(SimulatedClock::new(DAY));
    let catalog = Catalog::open_with_clock(&home.url, clock.clone()).await.unwrap();
    let first = catalog.create_club(new_club("a")).await.unwrap();
    clock.advance(SECOND);
    let second = catalog.create_club(new_club("b")).await.unwrap();
    assert_eq!((first.created_us, second.created_us), (DAY, DAY + SECOND));
    assert!(first.id < second.id);
    assert_eq!(first.id.get_version_num(), 7);
}

#[tokio::test]
async fn a_memory_database_serves_many_at_once() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let (_, channel, _) = channel(&catalog).await;
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let (catalog, id) = (catalog.clone(), channel.id);
            tokio::spawn(async move {
                record(&catalog, id, DAY + number * SECOND, DAY + (number + 1) * SECOND).await;
                catalog.spans(id, DAY, DAY + 100 * SECOND).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(catalog.spans(channel.id, DAY, DAY + 100 * SECOND).await.unwrap(), [(DAY, DAY + 20 * SECOND)]);
}

#[tokio::test]
async fn a_url_that_cannot_be_used_says_why() {
    let error = async |url: &str| Catalog::open(url).await.unwrap_err().to_string();
    let other = error("oracle://user:hunter2@host/db").await;
    assert_eq!(
        other,
        "databases of the kind `oracle:` are not supported; use sqlite:PATH, mysql://… or postgres://…"
    );
    assert!(error("turepe.db").await.contains("has no scheme"));
    assert!(error("sqlite:").await.contains("names no file"));
    assert!(
        error("sqlite:/no/such/folder/turepe.db").await.contains("the folder /no/such/folder does not exist")
    );
    assert!(error("sqlite:turepe.db?nonsense=1").await.contains("nonsense"));
}

#[tokio::test]
async fn a_path_may_hold_any_character() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b%20c?#ñ&=.db");
    let catalog = Catalog::open_file(&path).await.unwrap();
    catalog.create_club(new_club("norte")).await.unwrap();
    assert!(path.is_file());
}

#[tokio::test]
async fn what_is_no_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holiday.jpg");
    let picture = b"certainly not a database, but long enough to be looked at".repeat(100);
    world::write_whole(&world::SystemDisk, &path, &picture).unwrap();
    let error = Catalog::open_file(&path).await.unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), picture);
}

async fn who_may_watch_live_is_the_clubs_to_say(home: Home) {
    let catalog = catalog(&home).await;
    let club = catalog.create_club(new_club("norte")).await.unwrap();
    let court = catalog.create_court(club.id, "uno", "Uno").await.unwrap();
    let new = |court_id| NewChannel { court_id, name: "Camera".to_owned(), source: Source::Push };
    let here = catalog.create_channel(new(Some(court.id))).await.unwrap().0.id;
    let nowhere = catalog.create_channel(new(None)).await.unwrap().0.id;
    let live = async |id| catalog.channel_place(id).await.unwrap().map(|place| place.live);
    assert_eq!(live(here).await, Some(LiveAccess::Open));
    catalog.set_live_access(club.id, LiveAccess::Signed).await.unwrap();
    assert_eq!(catalog.live_access(club.id).await.unwrap(), LiveAccess::Signed);
    assert_eq!(live(here).await, Some(LiveAccess::Signed));
    assert_eq!(live(nowhere).await, Some(LiveAccess::Open));
    assert_eq!(live(club.id).await, None);
    let error = catalog.set_live_access(here, LiveAccess::Open).await.unwrap_err();
    assert!(matches!(error, CatalogError::NotFound(Kind::Club)), "{error}");
}

databases::on_every_engine![
    who_may_watch_live_is_the_clubs_to_say,
    a_club_is_found_as_it_was_created,
    what_cannot_be_a_club_is_refused_and_says_why,
    a_schedule_is_added_or_replaced_but_the_past_stays,
    courts_keep_their_order_and_their_slugs_are_the_clubs_own,
    a_stream_key_opens_its_channel_and_is_nowhere_to_be_read,
    a_pulled_channel_has_an_address_and_no_key,
    names_change_and_only_what_is_empty_goes,
    a_segment_grows_and_is_sealed_once,
    a_range_has_the_segments_that_overlap_it,
    the_longest_segment_is_found_by_its_last_instant,
    indexes_come_in_the_order_asked_for,
    a_gap_opens_once_and_closes_once,
    inits_are_kept_once_and_for_ever,
    everything_outlives_a_restart,
    the_clock_stamps_rows_and_orders_ids,
];

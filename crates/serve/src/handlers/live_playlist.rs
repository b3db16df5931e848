//! The playlists of a live channel: its window, and what can be rewound.
//!
//! Where the two meet: the live playlist is the hub's window alone, and slides. The rewind playlist is the archive alone, from a
//! pinned instant to the newest fragment that is on disk, and only grows; its parts are byte ranges of the segment that is being
//! recorded. So no reload ever has to join two numberings, and each fragment has one place in each playlist. Between a fragment in
//! the hub and the same one in the archive lie some milliseconds, for which a reload waits.

use super::replay::media_url;
use crate::{
    app::App,
    limits::{LIVE_WAIT, MAX_REWIND_AGE_US, MAX_REWIND_US, REWIND_POLL},
    problem::{Problem, ProblemCode},
    query::{Fields, Reload},
    token::{Grant, TokenError, TokenKind, expiry_us},
    viewing::{Permit, not_live},
};
use bytes::Bytes;
use live::{Snapshot, WindowReader};
use media::{
    index::ticks_to_us,
    playlist::{self, LiveMedia, LivePart, LivePlaylist, Place, VodSegment},
};
use std::fmt::Write as _;
use tokio::time::Instant;

/// The live playlist, as soon as it has what the reload asks for.
pub(super) async fn live(window: &WindowReader, reload: Reload) -> Result<Bytes, Problem> {
    let snapshot = first(window).await?;
    let snapshot = match reload.msn {
        None => snapshot,
        Some(msn) => {
            let (number, parts) = snapshot.newest();
            refuse_absurd(msn, reload.part, number, parts, &of_window(&snapshot, &[]))?;
            let there = window.wait(|now| now.is_none_or(|now| now.has(msn, reload.part)));
            match tokio::time::timeout(LIVE_WAIT, there).await {
                Ok(now) => now.ok_or_else(not_live)?,
                // The publisher hangs: what is there is the answer, and the player asks again.
                Err(_) => window.snapshot().ok_or_else(not_live)?,
            }
        }
    };
    // Nothing is ever far enough from the end of this window to be left out: the text is the same for everyone.
    Ok(snapshot.text.get_or_init(|| window_text(&snapshot).into()).clone())
}

/// The window as soon as it has a keyframe.
async fn first(window: &WindowReader) -> Result<std::sync::Arc<Snapshot>, Problem> {
    let come = window.wait(|now| now.is_some());
    tokio::time::timeout(LIVE_WAIT, come).await.ok().flatten().ok_or_else(not_live)
}

/// What cannot come soon is not waited for (RFC 8216bis §6.2.5.2).
fn refuse_absurd(
    msn: u64,
    part: Option<usize>,
    number: u64,
    parts: usize,
    playlist: &LivePlaylist<'_>,
) -> Result<(), Problem> {
    let is_far = msn > number.saturating_add(1)
        || msn == number
            && part.is_some_and(|part| part > parts.saturating_add(playlist.advance_part_limit()))
        || msn > number && part.is_some_and(|part| part > playlist.advance_part_limit());
    if is_far {
        let detail =
            format!("the newest segment is {number} with {parts} parts; what is asked for is too far away");
        return Err(Problem::new(ProblemCode::BadRequest, detail));
    }
    Ok(())
}

fn of_window<'a>(snapshot: &Snapshot, media: &'a [LiveMedia<'a>]) -> LivePlaylist<'a> {
    let (number, part) = snapshot.next();
    LivePlaylist {
        media_sequence: snapshot.segments.first().map_or(0, |segment| segment.number),
        discontinuity_sequence: snapshot.discontinuity_sequence,
        longest_segment_us: snapshot.longest_segment_us,
        longest_part_us: snapshot.longest_part_us,
        media,
        hint: Some(Place::Part(number, part)),
        is_event: false,
    }
}

fn window_text(snapshot: &Snapshot) -> String {
    let inits: Vec<_> =
        snapshot.segments.iter().map(|segment| format!("{}.mp4", segment.session.init_hash)).collect();
    let media: Vec<_> = snapshot
        .segments
        .iter()
        .zip(&inits)
        .map(|(segment, init_uri)| LiveMedia {
            start_us: segment.start_us(),
            duration_us: segment.duration_us(),
            is_discontinuous: segment.is_discontinuous,
            init_uri,
            whole: segment.is_closed.then_some(Place::Segment(segment.number)),
            parts: segment
                .parts
                .iter()
                .enumerate()
                .map(|(number, part)| LivePart {
                    duration_us: ticks_to_us(u64::from(part.duration_90k)),
                    is_key: part.is_key,
                    place: Place::Part(segment.number, number),
                })
                .collect(),
        })
        .collect();
    of_window(snapshot, &media).text(false)
}

/// A playlist of playlists whose only one begins some time ago: what is loaded once, so that the instant stays.
pub(super) async fn variants(
    app: &App,
    window: &WindowReader,
    permit: Permit,
    window_s: u64,
) -> Result<Bytes, Problem> {
    let snapshot = first(window).await?;
    let now_us = app.clock.now_us();
    let back_us = i64::try_from(window_s.saturating_mul(1_000_000)).unwrap_or(i64::MAX).min(MAX_REWIND_US);
    let floor_us = permit.from_us.unwrap_or(i64::MIN);
    let mut views = app.archive.views(permit.channel, (now_us - back_us).max(floor_us), i64::MAX).await?;
    // A segment is read whole: one that began before is of somebody else's match.
    views.retain(|view| view.start_us >= floor_us);
    // Not into what another node has: a playlist of both could not be played.
    let elsewhere = views.iter().rposition(|view| !view.is_here).map_or(0, |last| last + 1);
    let address = match views.get(elsewhere) {
        Some(view) => format!("rewind.m3u8?token={}", app.signer.sign(&rewind_grant(permit, view.start_us))),
        // Nothing is on disk yet: there is nothing to go back to.
        None => "index.m3u8".to_owned(),
    };
    let Some(segment) = snapshot.segments.last() else { return Err(not_live()) };
    let config = &segment.session.config;
    let codecs: Vec<_> = [
        config.video.as_ref().map(|video| video.codec_string.as_str()),
        config.audio.as_ref().map(|audio| audio.codec_string.as_str()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let peak = snapshot.segments.iter().filter_map(|segment| {
        let us = u64::try_from(segment.duration_us()).ok().filter(|us| *us > 0)?;
        Some(segment.size_bytes() as u64 * 8_000_000 / us)
    });
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:");
    // Writing to a string cannot fail.
    let _ = write!(text, "BANDWIDTH={},CODECS=\"{}\"", peak.max().unwrap_or(1).max(1), codecs.join(","));
    if let Some(video) = &config.video {
        let _ = write!(text, ",RESOLUTION={}x{}", video.width, video.height);
    }
    let _ = write!(text, "\n{address}\n");
    Ok(text.into())
}

/// What a viewer who goes back to an instant may read from there on. He does not choose it: who could, would go back further than
/// [`MAX_REWIND_US`].
fn rewind_grant(permit: Permit, from_us: i64) -> Grant {
    let to_us = from_us.saturating_add(MAX_REWIND_AGE_US);
    // Counted from the instant that stays, so that the addresses stay as well.
    let expires_us = expiry_us(from_us, to_us, from_us);
    Grant { kind: TokenKind::Rewind, channel: permit.channel, from_us, to_us, expires_us, by: permit.by }
}

/// Everything recorded since an instant, up to the live edge.
pub(super) async fn rewind(
    app: &App,
    window: &WindowReader,
    permit: Permit,
    fields: &Fields,
) -> Result<Bytes, Problem> {
    let (token, reload) = (fields.token()?, fields.reload()?);
    let grant = app.granted(token, &[TokenKind::Rewind]).await?;
    // Of another court, or from before what this visitor may see.
    let floor_us = permit.from_us.unwrap_or(i64::MIN);
    if grant.channel != permit.channel || grant.from_us < floor_us {
        return Err(TokenError::Invalid.into());
    }
    let deadline = Instant::now() + LIVE_WAIT;
    loop {
        let seen = window.snapshot().map(|snapshot| snapshot.next());
        if let Some(text) = recorded(app, token, &grant, floor_us, reload, Instant::now() >= deadline).await?
        {
            return Ok(text);
        }
        // The hub has it first: then the archive is asked again.
        let came = window.wait(|now| now.is_none_or(|now| Some(now.next()) != seen));
        let _ = tokio::time::timeout(REWIND_POLL * 4, came).await;
        tokio::time::sleep(REWIND_POLL).await;
    }
}

/// The rewind playlist, if it has what is asked for or this was waited for long enough.
async fn recorded(
    app: &App,
    token: &str,
    grant: &Grant,
    floor_us: i64,
    reload: Reload,
    is_late: bool,
) -> Result<Option<Bytes>, Problem> {
    let _turn = app.playlists.turn().await;
    let mut views = app.archive.readable_views(grant.channel, grant.from_us, grant.to_us).await?;
    views.retain(|view| view.start_us >= floor_us);
    let named: Vec<_> = views
        .iter()
        .map(|view| {
            let init = format!("/init/{}.mp4", view.init_hash);
            (media_url(token, view.id), init, view.session_id.to_string())
        })
        .collect();
    let segments: Vec<_> = views
        .iter()
        .zip(&named)
        .map(|(view, (uri, init_uri, session))| VodSegment {
            uri,
            init_uri,
            session,
            start_us: view.start_us,
            end_us: view.end_us,
            index: &view.index,
        })
        .collect();
    let media = playlist::rewind(&segments, views.last().is_some_and(|view| view.is_growing));
    let Some(last) = media.last() else {
        return Err(Problem::new(ProblemCode::NoFootage, "nothing was recorded in this time"));
    };
    let parts = |media: &LiveMedia<'_>| media.parts.iter().map(|part| part.duration_us).max();
    let playlist = LivePlaylist {
        media_sequence: 0,
        discontinuity_sequence: 0,
        longest_segment_us: media.iter().map(|media| media.duration_us).max().unwrap_or(0),
        longest_part_us: media.iter().filter_map(parts).max().unwrap_or(0),
        media: &media,
        hint: None,
        is_event: true,
    };
    if let Some(msn) = reload.msn {
        let number = media.len() as u64 - 1;
        let is_there = msn < number
            || msn == number
                && (last.whole.is_some() || reload.part.is_some_and(|part| part < last.parts.len()));
        refuse_absurd(msn, reload.part, number, last.parts.len(), &playlist)?;
        if !is_there && !is_late {
            return Ok(None);
        }
    }
    Ok(Some(playlist.text(reload.skip).into()))
}

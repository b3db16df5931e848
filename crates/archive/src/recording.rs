//! One channel as its writer sees it: which session runs, which segment grows, and what is done with the next entry.

use std::{
    io::{self, IoSlice},
    path::Path,
    sync::{Arc, PoisonError},
};

use bytes::Bytes;
use media::{
    EndCause, Fragment,
    fragmenter::{FragmentEvent, Session},
    mp4::{init::file_header, seal::SampleTable},
};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};
use uuid::Uuid;
use world::DiskFile;

use crate::{
    core::Core,
    cutter::{self, Verdict},
    growing::{Growing, Identity},
    limits::{DISK_RETRY_US, JOIN_TOLERANCE_US, MAX_SLICES_PER_WRITE},
    name::{self, SpoolName},
    queue::{ChannelQueue, Entry},
};

/// The writer's state of one recorder.
#[derive(Default)]
pub(crate) struct Recording {
    session: Option<Running>,
    segment: Option<Open>,
    /// A gap may be open in the catalog: close it when the next segment begins.
    is_gap_known: bool,
    /// Where the segment that grows ends a gap that is not closed yet: once the segment would outlive a power cut. The
    /// catalog may be more durable than the spool, and a gap that was closed by a segment that is gone has no cause any more.
    closes_gap_at_us: Option<i64>,
    /// After a failed write: not before this instant, by the monotonic clock.
    retry_at_us: Option<i64>,
    /// Nothing is written for want of space; noted once.
    is_stopped: bool,
}

/// The session that runs.
struct Running {
    session: Arc<Session>,
    id: Uuid,
    /// First bytes of each of its files.
    header: Bytes,
}

/// The segment that grows.
struct Open {
    growing: Arc<Growing>,
    /// Tells the registrar that nothing more is appended. Dropped unsent, it leaves the file for the next start.
    finish: oneshot::Sender<()>,
}

/// Fragments that wait for one write.
#[derive(Default)]
pub(crate) struct Pending {
    fragments: Vec<Arc<Fragment>>,
    slices: usize,
}

impl Pending {
    fn push(&mut self, fragment: Arc<Fragment>) {
        self.slices += fragment.payload.len() + 1;
        self.fragments.push(fragment);
    }

    fn take(&mut self) -> Vec<Arc<Fragment>> {
        self.slices = 0;
        std::mem::take(&mut self.fragments)
    }
}

impl Recording {
    /// Works off a batch of entries.
    pub(crate) fn work(
        &mut self,
        core: &Arc<Core>,
        queue: &ChannelQueue,
        batch: impl Iterator<Item = Entry>,
    ) {
        let mut pending = Pending::default();
        for entry in batch {
            match entry {
                Entry::Event(FragmentEvent::Fragment(fragment)) => {
                    self.fragment(core, queue, &mut pending, fragment)
                }
                Entry::Event(FragmentEvent::SessionStart(session)) => {
                    self.write(core, queue, &mut pending);
                    self.start_session(core, queue, session);
                }
                Entry::Event(FragmentEvent::SessionEnd { end_us, cause }) => {
                    self.write(core, queue, &mut pending);
                    self.end_session(core, queue, Some(end_us), cause);
                }
                Entry::Hole { start_us } => {
                    self.write(core, queue, &mut pending);
                    self.hole(core, queue, start_us);
                }
                Entry::Closed => {
                    self.write(core, queue, &mut pending);
                    self.end_session(core, queue, None, EndCause::Unknown);
                }
            }
        }
        self.write(core, queue, &mut pending);
    }

    fn start_session(&mut self, core: &Arc<Core>, queue: &ChannelQueue, session: Arc<Session>) {
        self.end_session(core, queue, None, EndCause::Unknown);
        let header = file_header(&session.config);
        self.session = Some(Running { id: name::new_id(session.start_us), header, session });
        self.is_gap_known = true;
    }

    /// The session is over, whichever way; harmless without one.
    pub(crate) fn end_session(
        &mut self,
        core: &Arc<Core>,
        queue: &ChannelQueue,
        end_us: Option<i64>,
        cause: EndCause,
    ) {
        self.end_segment(core, queue, end_us, Some(cause));
        self.session = None;
    }

    fn fragment(
        &mut self,
        core: &Arc<Core>,
        queue: &ChannelQueue,
        pending: &mut Pending,
        fragment: Arc<Fragment>,
    ) {
        if self.segment.as_ref().is_some_and(|open| open.growing.durability.is_failed()) {
            pending.take();
            self.end_segment(core, queue, None, Some(EndCause::Disk));
            self.retry_at_us = Some(core.clock.monotonic_us() + DISK_RETRY_US);
        }
        if self.closes_gap_at_us.is_some()
            && self.segment.as_ref().is_some_and(|open| open.growing.synced_len() > 0)
        {
            self.close_gap(core, queue);
        }
        if core.keeper.is_stopped() {
            self.write(core, queue, pending);
            self.stop_for_space(core, queue, &fragment);
            return;
        }
        // The verdict looks at what is written: what waits has to be counted in, which only a write does.
        let needs_fresh_look =
            fragment.is_key || pending.slices + fragment.payload.len() + 2 > MAX_SLICES_PER_WRITE;
        if needs_fresh_look {
            self.write(core, queue, pending);
        }
        let current = self.segment.as_ref().map(|open| {
            let mut current = open.growing.current();
            for waiting in &pending.fragments {
                current.end_us += cutter::duration_us(waiting);
                current.size_bytes += u64::from(waiting.size_bytes);
            }
            current
        });
        match cutter::judge(current, &fragment, core.config.segment_us) {
            Verdict::Append => pending.push(fragment),
            Verdict::Begin => {
                // What waits belongs to the segment that ends.
                self.write(core, queue, pending);
                self.end_segment(core, queue, Some(fragment.start_us), None);
                self.begin_segment(core, queue, &fragment);
            }
            Verdict::BeginAfterHole => {
                self.end_segment(core, queue, None, Some(EndCause::Clock));
                self.begin_segment(core, queue, &fragment);
            }
            Verdict::End => {
                self.write(core, queue, pending);
                self.end_segment(core, queue, None, Some(EndCause::Clock));
                warn!(channel_id = %queue.channel_id, "time is missing within a session: recording goes on at the next keyframe");
            }
            Verdict::Skip => {}
        }
    }

    /// Writes what waits into the current segment.
    fn write(&mut self, core: &Arc<Core>, queue: &ChannelQueue, pending: &mut Pending) {
        if pending.fragments.is_empty() {
            return;
        }
        let fragments = pending.take();
        let Some(open) = &self.segment else { return };
        match append(open.growing.file.as_ref(), None, &fragments) {
            Ok(()) => {
                open.growing.appended(fragments.iter().map(Arc::as_ref));
                core.syncer.written(&open.growing);
                let bytes = fragments.iter().map(|fragment| u64::from(fragment.size_bytes)).sum();
                core.written.add(bytes, core.clock.monotonic_us());
            }
            Err(error) => self.write_failed(core, queue, &error),
        }
    }

    /// Begins a segment, with a key fragment wherever there is one: the file is named, and holds its header and this fragment, before anyone
    /// hears of it.
    fn begin_segment(&mut self, core: &Arc<Core>, queue: &ChannelQueue, fragment: &Arc<Fragment>) {
        let Some(running) = &self.session else {
            debug!(channel_id = %queue.channel_id, "a fragment without a session is ignored");
            return;
        };
        if self.retry_at_us.is_some_and(|retry_at_us| core.clock.monotonic_us() < retry_at_us) {
            return;
        }
        match open_segment(core, queue, running, fragment) {
            Ok(growing) => {
                if self.retry_at_us.take().is_some() {
                    info!(channel_id = %queue.channel_id, "the disk takes data again: recording goes on");
                }
                self.is_stopped = false;
                let finish = core.begin(&growing);
                if std::mem::take(&mut self.is_gap_known) {
                    self.closes_gap_at_us = Some(growing.start_us);
                }
                core.syncer.written(&growing);
                core.written.add(u64::from(fragment.size_bytes), core.clock.monotonic_us());
                self.segment = Some(Open { growing, finish });
            }
            Err(error) => {
                if self.retry_at_us.is_none() {
                    // The camera speaks: from here on it is the disk.
                    gap_ends(core, queue, fragment.start_us);
                    gap_begins(core, queue, fragment.start_us, EndCause::Disk);
                    self.is_gap_known = true;
                }
                self.write_failed(core, queue, &error);
            }
        }
    }

    /// Notes that the gap before the segment is over, where that was not noted yet.
    fn close_gap(&mut self, core: &Arc<Core>, queue: &ChannelQueue) {
        if let Some(end_us) = self.closes_gap_at_us.take() {
            gap_ends(core, queue, end_us);
        }
    }

    /// Fragments were dropped from an instant on, as the disk did not keep up.
    fn hole(&mut self, core: &Arc<Core>, queue: &ChannelQueue, start_us: Option<i64>) {
        if self.segment.is_some() {
            self.end_segment(core, queue, None, Some(EndCause::Disk));
        } else if let Some(start_us) = start_us {
            // The camera speaks: from here on it is the disk, whatever it was before and whatever ends the session later.
            gap_ends(core, queue, start_us);
            gap_begins(core, queue, start_us, EndCause::Disk);
            self.is_gap_known = true;
        }
    }

    /// The disk is full and nothing may be given up. Recording goes on at the first keyframe after there is room.
    fn stop_for_space(&mut self, core: &Arc<Core>, queue: &ChannelQueue, fragment: &Arc<Fragment>) {
        if self.segment.is_some() {
            self.end_segment(core, queue, None, Some(EndCause::Disk));
        } else if !self.is_stopped {
            // The camera speaks: from here on it is the disk.
            gap_ends(core, queue, fragment.start_us);
            gap_begins(core, queue, fragment.start_us, EndCause::Disk);
            self.is_gap_known = true;
        }
        self.is_stopped = true;
    }

    fn write_failed(&mut self, core: &Arc<Core>, queue: &ChannelQueue, error: &io::Error) {
        if self.retry_at_us.is_none() {
            warn!(
                channel_id = %queue.channel_id,
                %error,
                retry_s = DISK_RETRY_US / 1_000_000,
                "the disk does not take the recording: what comes is dropped until it does"
            );
        }
        self.retry_at_us = Some(core.clock.monotonic_us() + DISK_RETRY_US);
        self.end_segment(core, queue, None, Some(EndCause::Disk));
    }

    /// Ends the current segment, if there is one: at `end_us` where that is known and near, else where its fragments
    /// end. With a cause, a gap opens there.
    fn end_segment(
        &mut self,
        core: &Arc<Core>,
        queue: &ChannelQueue,
        end_us: Option<i64>,
        gap: Option<EndCause>,
    ) {
        let Some(Open { growing, finish }) = self.segment.take() else { return };
        let counted_us = growing.end_us();
        let near_us = end_us.filter(|end_us| (end_us - counted_us).abs() <= NEAR_US);
        growing.finished(near_us);
        core.finish(finish);
        let end_us = growing.end_us();
        self.close_gap(core, queue);
        if let Some(cause) = gap {
            gap_begins(core, queue, end_us, cause);
            self.is_gap_known = true;
        }
        info!(
            channel_id = %queue.channel_id,
            segment_id = %growing.id,
            size_bytes = growing.len(),
            duration_ms = (end_us - growing.start_us) / 1000,
            cause = gap.map(EndCause::as_str),
            "segment ended"
        );
    }
}

/// How far a told end may lie from the counted one and still be believed: it then only takes out rounding and drift.
const NEAR_US: i64 = 20 * JOIN_TOLERANCE_US;

/// Notes that nothing is recorded from an instant on.
fn gap_begins(core: &Core, queue: &ChannelQueue, start_us: i64, cause: EndCause) {
    if !queue.is_backfill {
        let mut starts = core.gap_starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.entry(queue.channel_id).or_insert(start_us);
        drop(starts);
        core.gap_log.open(queue.channel_id, start_us, cause);
    }
}

/// Notes that there is something again. Where the clock was set back meanwhile, nothing is missing: the gap ends where it began.
fn gap_ends(core: &Core, queue: &ChannelQueue, end_us: i64) {
    if !queue.is_backfill {
        let mut starts = core.gap_starts.lock().unwrap_or_else(PoisonError::into_inner);
        let start_us = starts.remove(&queue.channel_id);
        drop(starts);
        core.gap_log.close(queue.channel_id, start_us.map_or(end_us, |start_us| end_us.max(start_us)));
    }
}

fn open_segment(
    core: &Arc<Core>,
    queue: &ChannelQueue,
    running: &Running,
    fragment: &Arc<Fragment>,
) -> io::Result<Arc<Growing>> {
    let start_us = fragment.start_us;
    let spool_name = SpoolName {
        id: name::new_id(start_us),
        session_id: running.id,
        start_us,
        prefix: queue.prefix.clone(),
    };
    let folder = core.config.spool.join(queue.channel_id.to_string());
    core.disk.create_dir_all(&folder)?;
    let spool_file = folder.join(spool_name.file_name());
    core.registry.reserve(spool_name.id);
    let file = begin_file(core, &spool_file, &running.header, fragment).inspect_err(|_| {
        core.registry.release(spool_name.id);
    })?;
    let header_bytes = running.header.len();
    let table = SampleTable::new(
        Arc::clone(&running.session.config),
        u32::try_from(header_bytes).unwrap_or(u32::MAX),
    );
    let growing = Growing::new(
        Identity {
            id: spool_name.id,
            channel_id: queue.channel_id,
            session_id: running.id,
            start_us,
            object_name: name::object_name(&queue.prefix, queue.channel_id, start_us, spool_name.id),
            init_hash: running.session.init_hash.clone(),
            init: running.session.init.clone(),
            spool_file,
        },
        file,
        table,
        header_bytes as u64,
    );
    growing.appended(std::iter::once(fragment.as_ref()));
    Ok(Arc::new(growing))
}

/// Makes a spool file with its header and first fragment, or none at all.
fn begin_file(
    core: &Core,
    spool_file: &Path,
    header: &Bytes,
    fragment: &Arc<Fragment>,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = core.disk.create_new(spool_file)?;
    match append(file.as_ref(), Some(header), std::slice::from_ref(fragment)) {
        Ok(()) => Ok(file),
        Err(error) => {
            if let Err(error) = core.disk.remove(spool_file) {
                debug!(file = %spool_file.display(), %error, "a spool file without a fragment stays for the repair");
            }
            Err(error)
        }
    }
}

/// Appends fragments whole, as one write.
fn append(file: &dyn DiskFile, header: Option<&Bytes>, fragments: &[Arc<Fragment>]) -> io::Result<()> {
    let slices = fragments.iter().map(|fragment| fragment.payload.len() + 1).sum::<usize>() + 1;
    let mut buffers = Vec::with_capacity(slices);
    buffers.extend(header.map(|header| IoSlice::new(header)));
    for fragment in fragments {
        buffers.push(IoSlice::new(&fragment.head));
        buffers.extend(fragment.payload.iter().map(|payload| IoSlice::new(payload)));
    }
    file.append_vectored(&buffers)
}

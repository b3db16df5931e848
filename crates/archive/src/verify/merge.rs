//! Rows and objects side by side: two walks in the same order, so that whatever is missing on either side shows, in the
//! memory of a page of each.
//!
//! The objects are listed once, in the order of their names; the rows of a channel are read in the order of time, which is
//! the order of the names within its folder. A thousand objects are one call to the bucket. The other way, a listing for
//! each page of rows, costs a call for each channel and day, and never sees what no row names.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    mem,
};

use catalog::{Catalog, SegmentRow};
use uuid::Uuid;

use crate::{bucket::ObjectMeta, error::ArchiveError, limits::WALK_PAGE, name::ObjectName, objects::Objects};

/// What stands side by side.
pub(super) enum Pair {
    /// A row and its object.
    Both(Box<SegmentRow>, ObjectMeta),
    /// A row whose object was not seen where it was looked for.
    Row(Box<SegmentRow>),
    /// An object that no row was seen to name.
    Object(ObjectName, ObjectMeta),
    /// An object that is not ours.
    Foreign,
}

/// The walk.
pub(super) struct Merge<'a> {
    catalog: &'a Catalog,
    objects: Objects,
    listed: VecDeque<(Option<ObjectName>, ObjectMeta)>,
    is_listed: bool,
    /// The folder whose objects are walked now.
    group: Option<Rows>,
    /// Folders that are done.
    done: HashSet<String>,
    /// Channels whose rows were walked, and folders other than the walked one that rows of theirs name.
    seen: HashSet<Uuid>,
    elsewhere: BTreeSet<(Uuid, String)>,
    /// Channels to walk in any case.
    channels: Vec<Uuid>,
}

impl<'a> Merge<'a> {
    /// `channels` are those whose rows are walked even where no object of theirs is listed.
    pub(super) fn new(catalog: &'a Catalog, objects: Objects, channels: Vec<Uuid>) -> Self {
        Self {
            catalog,
            objects,
            listed: VecDeque::new(),
            is_listed: false,
            group: None,
            done: HashSet::new(),
            seen: HashSet::new(),
            elsewhere: BTreeSet::new(),
            channels,
        }
    }

    /// The next pairs, about a page of them; none at the end.
    pub(super) async fn page(&mut self) -> Result<Vec<Pair>, ArchiveError> {
        let mut pairs = Vec::new();
        while pairs.len() < WALK_PAGE {
            match self.next().await? {
                Some(pair) => pairs.push(pair),
                None => break,
            }
        }
        Ok(pairs)
    }

    async fn next(&mut self) -> Result<Option<Pair>, ArchiveError> {
        loop {
            self.list().await?;
            let folder = match self.listed.front() {
                Some((None, _)) => {
                    self.listed.pop_front();
                    return Ok(Some(Pair::Foreign));
                }
                Some((Some(name), _)) => Some((name.channel_id, name.folder())),
                None => None,
            };
            let is_walked = self.group.as_ref().is_some_and(|rows| {
                folder.as_ref().is_some_and(|(_, folder)| rows.folder.as_ref() == Some(folder))
            });
            if self.group.is_some() && !is_walked {
                // The rest of the rows of a folder whose objects are through.
                if let Some(row) = self.row().await? {
                    return Ok(Some(Pair::Row(Box::new(row))));
                }
                self.leave();
                continue;
            }
            match folder {
                Some((channel_id, folder)) if !is_walked => {
                    self.group = Some(Rows::new(channel_id, Some(folder)));
                }
                Some(_) => return self.compare().await.map(Some),
                None => match self.unlisted() {
                    Some(rows) => self.group = Some(rows),
                    None => return Ok(None),
                },
            }
        }
    }

    /// Which of the two stands further in front.
    async fn compare(&mut self) -> Result<Pair, ArchiveError> {
        let row = self.row().await?;
        let Some((Some(name), meta)) = self.listed.pop_front() else { return Ok(Pair::Foreign) };
        match row {
            Some(row) if row.object_name == meta.name => Ok(Pair::Both(Box::new(row), meta)),
            Some(row) if row.object_name < meta.name => {
                self.listed.push_front((Some(name), meta));
                Ok(Pair::Row(Box::new(row)))
            }
            Some(row) => {
                if let Some(rows) = &mut self.group {
                    rows.ready.push_front(row);
                }
                Ok(Pair::Object(name, meta))
            }
            None => Ok(Pair::Object(name, meta)),
        }
    }

    async fn list(&mut self) -> Result<(), ArchiveError> {
        if self.listed.is_empty() && !self.is_listed {
            let page = self.objects.page().await?;
            self.is_listed = page.is_empty();
            self.listed.extend(page.into_iter().map(|meta| (ObjectName::parse(&meta.name), meta)));
        }
        Ok(())
    }

    async fn row(&mut self) -> Result<Option<SegmentRow>, ArchiveError> {
        match &mut self.group {
            Some(rows) => rows.next(self.catalog, &mut self.elsewhere).await,
            None => Ok(None),
        }
    }

    fn leave(&mut self) {
        if let Some(rows) = self.group.take() {
            self.seen.insert(rows.channel_id);
            self.done.extend(rows.folder);
        }
    }

    /// Rows of which no object was listed: of channels that have none, and in folders that have none.
    fn unlisted(&mut self) -> Option<Rows> {
        while let Some(channel_id) = self.channels.pop() {
            if !self.seen.contains(&channel_id) {
                return Some(Rows::new(channel_id, None));
            }
        }
        while let Some((channel_id, folder)) = self.elsewhere.pop_first() {
            if !self.done.contains(&folder) {
                return Some(Rows::new(channel_id, Some(folder)));
            }
        }
        None
    }
}

/// The whole segments of a channel in the order of their names.
struct Rows {
    channel_id: Uuid,
    /// Only those in this folder; `None`: all.
    folder: Option<String>,
    /// The last one that was read.
    after: Option<SegmentRow>,
    /// In order.
    ready: VecDeque<SegmentRow>,
    /// Of the last second that was read: others of it may follow.
    pending: Vec<SegmentRow>,
    is_over: bool,
}

impl Rows {
    fn new(channel_id: Uuid, folder: Option<String>) -> Self {
        let (ready, pending) = (VecDeque::new(), Vec::new());
        Self { channel_id, folder, after: None, ready, pending, is_over: false }
    }

    async fn next(
        &mut self,
        catalog: &Catalog,
        elsewhere: &mut BTreeSet<(Uuid, String)>,
    ) -> Result<Option<SegmentRow>, ArchiveError> {
        while self.ready.is_empty() && !self.is_over {
            let page =
                catalog.whole_segments_of(self.channel_id, self.after.as_ref(), WALK_PAGE as u64).await?;
            self.is_over = page.len() < WALK_PAGE;
            self.after = page.last().cloned().or(self.after.take());
            for row in page {
                self.take(row, elsewhere);
            }
            if self.is_over {
                self.flush();
            }
        }
        Ok(self.ready.pop_front())
    }

    fn take(&mut self, row: SegmentRow, elsewhere: &mut BTreeSet<(Uuid, String)>) {
        let folder = ObjectName::parse(&row.object_name).map(|name| name.folder());
        if let (Some(mine), Some(its)) = (&self.folder, folder)
            && *mine != its
        {
            elsewhere.insert((self.channel_id, its));
            return;
        }
        let second = |row: &SegmentRow| row.start_us.div_euclid(1_000_000);
        if self.pending.last().is_some_and(|last| second(last) != second(&row)) {
            self.flush();
        }
        self.pending.push(row);
    }

    /// Within a second the name orders by id alone.
    fn flush(&mut self) {
        let mut pending = mem::take(&mut self.pending);
        pending.sort_by(|a, b| a.object_name.cmp(&b.object_name));
        self.ready.extend(pending);
    }
}

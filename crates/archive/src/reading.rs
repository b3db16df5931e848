//! Reading: what there is of a range, and its bytes. The catalog tells of sealed segments, memory of growing ones.

use std::{collections::HashMap, sync::Arc, time::Duration};

use catalog::{MAX_SEGMENT_US, SegmentRow, SegmentState};
use futures_util::future::try_join_all;
use media::{
    SegmentIndex,
    index::us_to_ticks,
    mp4::{
        cut::{Cut, Source, cut},
        reader::read_moov,
        seal::SampleTable,
    },
    overlap::{Stretch, shown},
};
use uuid::Uuid;

use crate::{
    archive::Archive,
    config::PlayFrom,
    download::Download,
    error::ArchiveError,
    gaps::{self, Background, Gap},
    growing::Growing,
    holder::recorded_until,
    limits::{
        BUILD_UP_90K, CUT_HEADER_BASE_BYTES, CUT_HEADER_SEGMENT_BYTES, MAX_CUT_SEGMENTS, MAX_MOOV_BYTES,
        MAX_PRESIGNED_SECONDS,
    },
    origin::Origin,
    read::Part,
    segment::{EtagBuilder, Keyframe, SegmentObject, SegmentView},
    whereabouts::Whereabouts,
};

impl Archive {
    /// The segments that overlap `[from_us, to_us)`, in time order, each with its index.
    ///
    /// # Errors
    /// The catalog does not answer, or an index in it is damaged.
    pub async fn views(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<SegmentView>, ArchiveError> {
        Ok(self.look(channel_id, from_us, to_us).await?.0)
    }

    /// [`Archive::views`] for who is going to read all of it.
    ///
    /// # Errors
    /// As [`Archive::views`]; [`ArchiveError::Elsewhere`] where some of the range is on another node.
    pub async fn readable_views(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<SegmentView>, ArchiveError> {
        match self.look(channel_id, from_us, to_us).await? {
            (views, None) => Ok(views),
            (_, Some(elsewhere)) => Err(self.elsewhere(&elsewhere).await),
        }
    }

    /// The segments of a range, and the first of it that cannot be read from here, if there is one.
    async fn look(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<(Vec<SegmentView>, Option<SegmentRow>), ArchiveError> {
        let core = &self.inner.core;
        // Memory first: a segment sealed in between is then seen twice, never not at all.
        let mut growing = overlapping(core.registry.of_channel(channel_id), from_us, to_us);
        // A playlist must not name what the catalog cannot answer for yet.
        growing.retain(|segment| segment.is_registered());
        let rows = core.catalog.segments_in_range(channel_id, from_us, to_us).await?;
        let mut elsewhere = self.first_growing_elsewhere(&rows, from_us).await?;
        let sealed: Vec<_> = rows
            .into_iter()
            .filter(|row| row.is_whole() && !growing.iter().any(|known| known.id == row.id))
            .collect();
        let ids: Vec<_> = sealed.iter().map(|row| row.id).collect();
        let mut indexes: HashMap<Uuid, Vec<u8>> =
            core.catalog.segment_indexes(&ids).await?.into_iter().collect();
        let mut views = Vec::with_capacity(sealed.len() + growing.len());
        for row in sealed {
            let is_here = self.is_here(&row).await;
            if !is_here && elsewhere.as_ref().is_none_or(|first| row.start_us < first.start_us) {
                elsewhere = Some(row.clone());
            }
            let bytes = indexes.remove(&row.id).unwrap_or_default();
            let index = SegmentIndex::decode(&bytes)
                .map_err(|source| ArchiveError::DamagedIndex { id: row.id, source })?;
            views.push(SegmentView {
                id: row.id,
                channel_id,
                session_id: row.session_id,
                start_us: row.start_us,
                end_us: row.end_us.unwrap_or(row.start_us),
                is_growing: false,
                size_bytes: row.size_bytes,
                init_hash: row.init_hash,
                index: Arc::new(index),
                is_here,
            });
        }
        views.extend(growing.iter().map(|segment| {
            let snapshot = segment.snapshot();
            SegmentView {
                id: segment.id,
                channel_id,
                session_id: segment.session_id,
                start_us: segment.start_us,
                end_us: snapshot.end_us,
                is_growing: !snapshot.is_finished,
                size_bytes: snapshot.len,
                init_hash: segment.init_hash.clone(),
                index: snapshot.index,
                is_here: true,
            }
        }));
        views.sort_by_key(|view| (view.start_us, view.id));
        Ok((views, elsewhere))
    }

    /// The first of these rows that grows on another node and reaches beyond an instant.
    async fn first_growing_elsewhere(
        &self,
        rows: &[SegmentRow],
        from_us: i64,
    ) -> Result<Option<SegmentRow>, ArchiveError> {
        let core = &self.inner.core;
        for row in rows.iter().filter(|row| !row.is_whole() && core.is_held_elsewhere(row)) {
            let Some(id) = row.node_id else { continue };
            let node = core.catalog.node(id).await?;
            let now_us = core.clock.now_us();
            if recorded_until(row, node.as_ref(), MAX_SEGMENT_US, now_us) > from_us {
                return Ok(Some(row.clone()));
            }
        }
        Ok(None)
    }

    /// What is recorded of `[from_us, to_us)`: spans in time order that do not touch, clamped to the range.
    ///
    /// # Errors
    /// The catalog does not answer.
    pub async fn spans(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<(i64, i64)>, ArchiveError> {
        let core = &self.inner.core;
        let growing = overlapping(core.registry.of_channel(channel_id), from_us, to_us);
        let mut spans = core.catalog.spans(channel_id, from_us, to_us).await?;
        spans.extend(growing.iter().map(|segment| (segment.start_us, segment.end_us())));
        let now_us = core.clock.now_us();
        if to_us > now_us.saturating_sub(MAX_SEGMENT_US) {
            for (row, node) in core.catalog.growing_elsewhere(channel_id).await? {
                let until_us = recorded_until(&row, node.as_ref(), MAX_SEGMENT_US, now_us);
                spans.push((row.start_us, until_us));
            }
            spans.retain(|(start_us, end_us)| *start_us < to_us && *end_us > from_us);
        }
        for span in &mut spans {
            *span = (span.0.max(from_us), span.1.min(to_us));
        }
        Ok(gaps::join_spans(spans))
    }

    /// What is missing from `[from_us, to_us)` and why, in time order. What lies after `now_us` is no gap, nor is what
    /// a running recording has not written yet.
    ///
    /// # Errors
    /// The catalog does not answer.
    pub async fn gaps(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
        now_us: i64,
    ) -> Result<Vec<Gap>, ArchiveError> {
        let core = &self.inner.core;
        let running =
            core.registry.of_channel(channel_id).into_iter().rfind(|segment| !segment.is_finished());
        // A fragment is on its way: what follows the last one is not missing before the recording ends.
        let known_until_us = running.map_or(now_us, |segment| segment.end_us().min(now_us));
        let spans = self.spans(channel_id, from_us, to_us).await?;
        let missing = gaps::missing(&spans, from_us, to_us.min(known_until_us));
        let (Some(first), Some(last)) = (missing.first(), missing.last()) else { return Ok(Vec::new()) };
        let rows = core.catalog.gaps_in_range(channel_id, first.0, last.1).await?;
        let background = if gaps::is_explained(&missing, &rows) {
            Background::default()
        } else {
            Background {
                created_us: core.catalog.channel(channel_id).await?.map(|channel| channel.created_us),
                first_recorded_us: self.first_recorded_us(channel_id).await?,
            }
        };
        Ok(gaps::explain(&missing, &rows, background))
    }

    /// Start of the channel's first segment. Remembered, as finding it takes the catalog a walk over all of them.
    async fn first_recorded_us(&self, channel_id: Uuid) -> Result<Option<i64>, ArchiveError> {
        if let Some(first_us) = self.inner.first_recorded.get(&channel_id) {
            return Ok(Some(first_us));
        }
        let first_us = self.inner.core.catalog.footage(channel_id).await?.first_start_us;
        if let Some(first_us) = first_us {
            self.inner.first_recorded.put(channel_id, first_us, size_of::<(Uuid, i64)>());
        }
        Ok(first_us)
    }

    /// Whether the channel is being recorded.
    #[must_use]
    pub fn is_recording(&self, channel_id: Uuid) -> bool {
        self.inner.core.registry.of_channel(channel_id).iter().any(|segment| !segment.is_finished())
    }

    /// Up to when the channel is written to its file, UTC microseconds; `None` where no segment of it grows. While it is recorded it
    /// moves on with each fragment.
    #[must_use]
    pub fn recorded_until(&self, channel_id: Uuid) -> Option<i64> {
        let growing = self.inner.core.registry.of_channel(channel_id);
        growing.iter().rfind(|segment| !segment.is_finished()).map(|segment| segment.end_us())
    }

    /// A segment's bytes.
    ///
    /// # Errors
    /// [`ArchiveError::SegmentNotFound`]; [`ArchiveError::Elsewhere`]; the catalog or the store does not answer.
    pub async fn open_segment(&self, id: Uuid) -> Result<SegmentObject, ArchiveError> {
        let inner = &self.inner;
        if let Some(segment) = inner.core.registry.get(id) {
            let len = segment.len();
            return Ok(SegmentObject {
                id,
                channel_id: segment.channel_id,
                len,
                // Until it is sealed, its length tells all: what is written stays as it is. Sealing changes the tag.
                etag: EtagBuilder::new("growing").with(id.as_bytes()).number(len.cast_signed()).finish(),
                is_growing: true,
                part: Part::Stored(self.growing(id), 0..len),
                reader: Arc::clone(&inner.reader),
            });
        }
        let row = inner.core.catalog.segment(id).await?.ok_or(ArchiveError::SegmentNotFound(id))?;
        if !row.is_whole() {
            let is_elsewhere = inner.core.is_held_elsewhere(&row);
            return Err(if is_elsewhere {
                self.elsewhere(&row).await
            } else {
                ArchiveError::SegmentNotFound(id)
            });
        }
        let len = row.size_bytes;
        let source = self.open_object(&row).await?;
        Ok(SegmentObject {
            id,
            channel_id: row.channel_id,
            len,
            etag: EtagBuilder::new("sealed").with(id.as_bytes()).number(len.cast_signed()).finish(),
            is_growing: false,
            part: Part::Stored(source, 0..len),
            reader: Arc::clone(&inner.reader),
        })
    }

    /// `[from_us, to_us)` as one plain MP4, without what was not recorded: what it is made of, before it is worked out.
    ///
    /// # Errors
    /// [`ArchiveError::NoFootage`] where nothing was recorded; [`ArchiveError::RangeTooLong`]; [`ArchiveError::Elsewhere`]
    /// where some of it is on another node; catalog or store do not answer.
    pub async fn plan_cut(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<CutPlan, ArchiveError> {
        let footage = self.footage(channel_id, from_us, to_us).await?;
        let mut etag = EtagBuilder::new("cut").number(from_us).number(to_us);
        for (piece, shown_us) in &footage {
            etag = etag.with(piece.id().as_bytes()).number(piece.len().cast_signed()).number(piece.end_us());
            if *shown_us != i64::MIN {
                etag = etag.number(*shown_us);
            }
        }
        let sources = try_join_all(footage.iter().map(|(piece, _)| self.open_piece(piece))).await?;
        let tables = footage.iter().map(|(piece, _)| piece.table_bytes());
        let max_header_bytes = tables.fold(CUT_HEADER_BASE_BYTES, u64::saturating_add);
        Ok(CutPlan {
            from_us,
            to_us,
            etag: etag.finish(),
            max_header_bytes,
            footage: footage.into(),
            sources: sources.into(),
        })
    }

    /// [`Archive::plan_cut`] and [`Archive::download`] in one, for who need not know beforehand what it takes.
    ///
    /// # Errors
    /// As both.
    pub async fn cut(&self, channel_id: Uuid, from_us: i64, to_us: i64) -> Result<Download, ArchiveError> {
        self.download(self.plan_cut(channel_id, from_us, to_us).await?).await
    }

    /// Works out what was planned, or finds it again.
    ///
    /// # Errors
    /// The store does not answer; what was recorded does not fit into one file.
    pub async fn download(&self, plan: CutPlan) -> Result<Download, ArchiveError> {
        let CutPlan { from_us, to_us, etag, footage, sources, .. } = plan;
        let cut = match self.inner.cuts.get(&etag) {
            Some(cut) => cut,
            None => {
                let turn = self.inner.cutting.turn().await.ok_or_else(cannot_cut)?;
                match self.inner.cuts.get(&etag) {
                    // Somebody else has asked for the same, and was first.
                    Some(cut) => cut,
                    None => {
                        let (archive, runtime) = (self.clone(), self.inner.core.runtime.clone());
                        let (footage, sources) = (Arc::clone(&footage), Arc::clone(&sources));
                        let made = self.inner.cutting.run(turn, move || {
                            runtime.block_on(archive.make_cut(&footage, &sources, from_us, to_us))
                        });
                        let cut = Arc::new(made.await.ok_or_else(cannot_cut)??);
                        self.inner.cuts.put(etag.clone(), Arc::clone(&cut), cut.header.len());
                        cut
                    }
                }
            }
        };
        let mut parts = Vec::with_capacity(cut.ranges.len() + 1);
        parts.push(Part::Memory(cut.header.clone()));
        for range in &cut.ranges {
            if let Some(source) = sources.get(range.source) {
                parts.push(Part::Stored(source.clone(), range.start..range.end));
            }
        }
        Ok(Download {
            cut,
            segments: footage.iter().map(|(piece, _)| piece.id()).collect(),
            etag,
            is_growing: footage.iter().any(|(piece, _)| piece.is_growing()),
            parts,
            reader: Arc::clone(&self.inner.reader),
        })
    }

    /// Runs on a thread that may take its time: millions of samples make it milliseconds of work.
    async fn make_cut(
        &self,
        footage: &[(Piece, i64)],
        sources: &[Origin],
        from_us: i64,
        to_us: i64,
    ) -> Result<Cut, ArchiveError> {
        let mut tables = Vec::with_capacity(footage.len());
        // One after the other: all at once they would be held twice, as they lie in the file and as they are read.
        for ((piece, _), source) in footage.iter().zip(sources) {
            tables.push(self.table(piece, source).await?);
        }
        let sources: Vec<_> = tables
            .iter()
            .zip(footage)
            .map(|(table, (piece, shown_us))| Source {
                table,
                start_us: piece.start_us(),
                end_us: piece.end_us(),
                shown_us: *shown_us,
            })
            .collect();
        Ok(cut(&sources, from_us, to_us)?)
    }

    /// The key fragment that shows an instant: the last one that starts at or before it, with what follows up to the first whole
    /// picture; `None` where nothing is recorded.
    ///
    /// # Errors
    /// Catalog or store do not answer.
    pub async fn keyframe(&self, channel_id: Uuid, at_us: i64) -> Result<Option<Keyframe>, ArchiveError> {
        let views = self.views(channel_id, at_us, at_us + 1).await?;
        let Some(view) = views.iter().rfind(|view| view.start_us <= at_us && at_us < view.end_us) else {
            return Ok(None);
        };
        let at_90k = us_to_ticks(at_us - view.start_us);
        let recovery_90k = u64::from(view.index.recovery_90k);
        let builds_up = recovery_90k >= BUILD_UP_90K;
        let key = if builds_up { view.index.entry_for(at_90k) } else { view.index.key_at_or_before(at_90k) };
        let Some(key) = key else { return Ok(None) };
        let whole = view.index.fragment_at(key.start_90k + recovery_90k).filter(|_| builds_up);
        let end_bytes = whole.map_or(key.end_bytes(), |whole| whole.end_bytes());
        let init = match self.inner.core.registry.get(view.id) {
            Some(segment) => Some(segment.init.clone()),
            None => self.inner.core.catalog.init(&view.init_hash).await?,
        };
        let Some(init) = init else { return Ok(None) };
        let Part::Stored(source, _) = self.open_segment(view.id).await?.part else { return Ok(None) };
        let bytes = self.inner.reader.read(source, key.offset_bytes..end_bytes).await;
        let fragment =
            bytes.map_err(|error| ArchiveError::io(format!("reading segment {}", view.id), error))?;
        Ok(Some(Keyframe {
            init,
            fragment,
            start_us: view.start_us + media::index::ticks_to_us(key.start_90k),
            skip_us: whole.map_or(0, |_| media::index::ticks_to_us(recovery_90k)),
        }))
    }

    /// The segments of a range that are shown, sealed and growing, in time order, and from where on.
    async fn footage(
        &self,
        channel_id: Uuid,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<(Piece, i64)>, ArchiveError> {
        let core = &self.inner.core;
        let growing = overlapping(core.registry.of_channel(channel_id), from_us, to_us);
        let rows = core.catalog.segments_in_range(channel_id, from_us, to_us).await?;
        let is_new = |row: &SegmentRow| row.is_whole() && !growing.iter().any(|known| known.id == row.id);
        if let Some(row) = self.first_growing_elsewhere(&rows, from_us).await? {
            return Err(self.elsewhere(&row).await);
        }
        let mut pieces: Vec<_> =
            rows.into_iter().filter(is_new).map(|row| Piece::Sealed(Box::new(row))).collect();
        if pieces.len() + growing.len() > MAX_CUT_SEGMENTS {
            let segments = pieces.len() + growing.len();
            return Err(ArchiveError::RangeTooLong { segments, limit: MAX_CUT_SEGMENTS });
        }
        pieces.extend(growing.iter().map(Piece::growing));
        pieces.retain(|piece| piece.start_us() < to_us && piece.end_us() > from_us);
        pieces.sort_by_key(|piece| (piece.start_us(), piece.id()));
        // What others are shown instead of need not even be opened.
        let stretches: Vec<_> = pieces.iter().map(Piece::stretch).collect();
        let mut pieces: Vec<_> = pieces.into_iter().map(Some).collect();
        let pieces: Vec<_> = shown(&stretches)
            .into_iter()
            .filter_map(|shown| Some((pieces.get_mut(shown.number)?.take()?, shown.from_us)))
            .collect();
        if pieces.is_empty() { Err(ArchiveError::NoFootage) } else { Ok(pieces) }
    }

    async fn open_piece(&self, piece: &Piece) -> Result<Origin, ArchiveError> {
        match piece {
            Piece::Sealed(row) => self.open_object(row).await,
            Piece::Growing { segment, .. } => Ok(self.growing(segment.id)),
        }
    }

    /// A segment that grows here, to be read piece by piece.
    fn growing(&self, id: Uuid) -> Origin {
        Origin::Segment(Arc::new(Whereabouts::growing(&self.inner.core, id)))
    }

    /// A whole segment, to be read piece by piece; what is not there is told now.
    async fn open_object(&self, row: &SegmentRow) -> Result<Origin, ArchiveError> {
        if !self.is_here(row).await {
            return Err(self.elsewhere(row).await);
        }
        let whereabouts = Whereabouts::sealed(&self.inner.core, row);
        let looked = whereabouts.look(&self.inner.reader).await;
        looked.map_err(|error| ArchiveError::io(format!("opening {}", row.object_name), error))?;
        Ok(Origin::Segment(Arc::new(whereabouts)))
    }

    /// A URL of the bucket's that grants reading a whole segment, for the longest time up to `expires_in` that it can be
    /// signed for; `None` where its bytes come from this node.
    ///
    /// # Errors
    /// The bucket's URL cannot be signed.
    pub async fn object_url(
        &self,
        row: &SegmentRow,
        expires_in: Duration,
    ) -> Result<Option<String>, ArchiveError> {
        let core = &self.inner.core;
        match &core.bucket {
            Some(bucket)
                if row.state == SegmentState::Stored && core.config.play_from == PlayFrom::Bucket =>
            {
                let life = expires_in.min(Duration::from_secs(MAX_PRESIGNED_SECONDS));
                Ok(bucket.presigned_get(&row.object_name, life).await?)
            }
            _ => Ok(None),
        }
    }

    /// The samples of a segment. On a thread that may take its time, as [`Archive::make_cut`].
    async fn table(&self, piece: &Piece, source: &Origin) -> Result<Arc<SampleTable>, ArchiveError> {
        let row = match piece {
            Piece::Growing { table, .. } => return Ok(Arc::clone(table)),
            Piece::Sealed(row) => row,
        };
        if let Some(table) = self.inner.tables.get(&row.id) {
            return Ok(table);
        }
        let (start, end) = (row.moov_offset, row.size_bytes);
        let len = end.saturating_sub(start);
        if len > MAX_MOOV_BYTES {
            let error = std::io::Error::from(std::io::ErrorKind::FileTooLarge);
            return Err(ArchiveError::io(format!("reading the tables of {}", row.object_name), error));
        }
        let moov = self.inner.reader.read(source.clone(), start..end).await;
        let moov = moov
            .map_err(|error| ArchiveError::io(format!("reading the tables of {}", row.object_name), error))?;
        let id = row.id;
        let table = read_moov(&moov).map_err(|source| ArchiveError::Damaged { id, source })?;
        let table = Arc::new(table);
        // The tables hold about as much as the box they come from.
        self.inner.tables.put(id, Arc::clone(&table), usize::try_from(len).unwrap_or(usize::MAX));
        Ok(table)
    }
}

/// A cut that is not worked out yet.
pub struct CutPlan {
    from_us: i64,
    to_us: i64,
    /// A strong entity tag without its quotes: of equal ones the same header is shared.
    pub etag: String,
    /// What its header is reckoned to take at most, in bytes, by the tables of its segments. Sound that is missing for hours
    /// can make it longer.
    pub max_header_bytes: u64,
    /// What is shown, and from when on.
    footage: Arc<[(Piece, i64)]>,
    sources: Arc<[Origin]>,
}

fn cannot_cut() -> ArchiveError {
    ArchiveError::io("cutting", std::io::Error::other("the archive has ended, or the cut panicked"))
}

/// One segment of a cut, as it was at one instant.
enum Piece {
    Sealed(Box<SegmentRow>),
    Growing { segment: Arc<Growing>, table: Arc<SampleTable>, len: u64, end_us: i64 },
}

impl Piece {
    fn growing(segment: &Arc<Growing>) -> Self {
        let (table, len, end_us) = segment.frozen();
        Self::Growing { segment: Arc::clone(segment), table: Arc::new(table), len, end_us }
    }

    fn stretch(&self) -> Stretch<Uuid> {
        let session = match self {
            Self::Sealed(row) => row.session_id,
            Self::Growing { segment, .. } => segment.session_id,
        };
        Stretch { session, start_us: self.start_us(), end_us: self.end_us() }
    }

    fn id(&self) -> Uuid {
        match self {
            Self::Sealed(row) => row.id,
            Self::Growing { segment, .. } => segment.id,
        }
    }

    fn start_us(&self) -> i64 {
        match self {
            Self::Sealed(row) => row.start_us,
            Self::Growing { segment, .. } => segment.start_us,
        }
    }

    fn end_us(&self) -> i64 {
        match self {
            Self::Sealed(row) => row.end_us.unwrap_or(row.start_us),
            Self::Growing { end_us, .. } => *end_us,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Sealed(row) => row.size_bytes,
            Self::Growing { len, .. } => *len,
        }
    }

    fn is_growing(&self) -> bool {
        matches!(self, Self::Growing { .. })
    }

    /// The most that it adds to the header of a cut. A sealed one has the same tables at its end; what a cut says otherwise of
    /// a chunk is how wide its offset is.
    fn table_bytes(&self) -> u64 {
        let tables = match self {
            Self::Sealed(row) => row.size_bytes.saturating_sub(row.moov_offset).saturating_mul(2),
            Self::Growing { table, .. } => table.max_table_bytes(),
        };
        tables.saturating_add(CUT_HEADER_SEGMENT_BYTES)
    }
}

fn overlapping(mut segments: Vec<Arc<Growing>>, from_us: i64, to_us: i64) -> Vec<Arc<Growing>> {
    segments.retain(|segment| segment.start_us < to_us && segment.end_us() > from_us);
    segments
}

//! The steps of an upload as calls to bucket, catalog and disk. Each is one try.

use std::{collections::BTreeMap, io, ops::Range, sync::Arc};

use bytes::Bytes;
use catalog::CatalogError;
use tracing::{debug, warn};
use uuid::Uuid;
use world::read_exact_at;

use super::{
    confirm::{Arrived, is_listed_as_sent, judge},
    plan::{Parts, Progress, Step, part_range},
};
use crate::{
    bucket::{Bucket, BucketError, md5_etag},
    core::Core,
};

/// What a step needs to know.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) id: Uuid,
    pub(super) object_name: String,
    pub(super) step: Step,
    pub(super) part_bytes: u64,
    pub(super) sealed_bytes: Option<u64>,
    pub(super) progress: Progress,
    /// An upload that is given up.
    pub(super) stale_upload: Option<String>,
    /// The catalog does not know all of the progress.
    pub(super) is_unnoted: bool,
}

impl Order {
    /// The multipart upload that it belongs to.
    pub(super) fn upload_id(&self) -> Option<&str> {
        match &self.progress {
            Progress::Parts(parts) => Some(&parts.upload_id),
            _ => None,
        }
    }
}

/// What came of it.
pub(super) enum Outcome {
    /// Where the upload stands now, and with which length of parts.
    Progress { progress: Progress, part_bytes: u64, is_noted: bool },
    /// A part has arrived.
    Part { number: u32, etag: String, is_noted: bool },
    /// The bucket does not have the object, or another one.
    NotThere { reason: String },
    /// The catalog knows.
    Noted,
    /// The segment is gone from the catalog.
    Gone,
}

/// What went wrong.
pub(super) enum Failure {
    Bucket(BucketError),
    Catalog(CatalogError),
    /// It did not end.
    Stalled,
    /// The segment's own file cannot be read.
    Local(io::Error),
}

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Self {
        Self::Bucket(error)
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

pub(super) async fn run(core: &Arc<Core>, bucket: &dyn Bucket, order: &Order) -> Result<Outcome, Failure> {
    match order.step {
        Step::Resume => resume(core, bucket, order).await,
        Step::Begin => begin(core, bucket, order).await,
        Step::Put => put(core, bucket, order).await,
        Step::Part(number) => part(core, bucket, order, number).await,
        Step::Complete => complete(bucket, order).await,
        Step::Confirm => confirm(bucket, order).await,
        Step::Note => note(core, bucket, order).await,
    }
}

/// What the catalog says has arrived, as far as the bucket says the same.
async fn resume(core: &Core, bucket: &dyn Bucket, order: &Order) -> Result<Outcome, Failure> {
    let at = |progress, part_bytes| Outcome::Progress { progress, part_bytes, is_noted: true };
    let Some(upload) = core.catalog.upload(order.id).await? else {
        return Ok(at(Progress::Idle, order.part_bytes));
    };
    let noted: BTreeMap<u32, String> = upload.parts.into_iter().collect();
    let running =
        |tags| Progress::Parts(Parts { upload_id: upload.upload_id.clone(), tags, ..Parts::default() });
    match bucket.parts(&order.object_name, &upload.upload_id).await {
        Ok(there) => {
            let tags = there
                .into_iter()
                .filter(|part| noted.get(&part.number) == Some(&part.etag))
                .filter(|part| {
                    let range = part_range(part.number, upload.part_bytes, order.sealed_bytes);
                    part.size_bytes == range.end.saturating_sub(range.start)
                })
                .map(|part| (part.number, part.etag))
                .collect();
            Ok(at(running(tags), upload.part_bytes))
        }
        // Completed without our hearing of it, or aborted by a rule of the bucket.
        Err(BucketError::NoSuchUpload) if order.sealed_bytes.is_some() => {
            let arrived = Arrived::of_parts(&upload.upload_id, &noted, None);
            Ok(at(Progress::Arrived(arrived), upload.part_bytes))
        }
        Err(BucketError::NoSuchUpload) => Ok(at(Progress::Idle, order.part_bytes)),
        // A service that does not list parts, or not to this key: what the catalog noted is named at the end, and the bucket compares.
        Err(error @ (BucketError::Invalid { .. } | BucketError::Refused { .. })) => {
            debug!(segment_id = %order.id, %error, "the bucket does not list an upload's parts: those that were noted count");
            Ok(at(running(noted), upload.part_bytes))
        }
        Err(error) => Err(error.into()),
    }
}

async fn begin(core: &Core, bucket: &dyn Bucket, order: &Order) -> Result<Outcome, Failure> {
    if let Some(stale) = &order.stale_upload {
        match bucket.abort_upload(&order.object_name, stale).await {
            // Nothing is won by waiting: the sweep, or a rule of the bucket, clears it away.
            Err(error) if !error.is_transient() => {
                warn!(segment_id = %order.id, %error, "an upload that was given up cannot be aborted");
            }
            aborted => aborted?,
        }
    }
    let upload_id = bucket.begin_upload(&order.object_name).await?;
    // Where the catalog is away the upload runs all the same, and is noted with a later part.
    let noted = core.catalog.begin_upload(order.id, &upload_id, order.part_bytes).await;
    if let Err(error) = &noted {
        debug!(segment_id = %order.id, %error, "an upload that began is not noted yet");
    }
    let parts = Parts { upload_id, ..Parts::default() };
    Ok(Outcome::Progress {
        progress: Progress::Parts(parts),
        part_bytes: order.part_bytes,
        is_noted: noted.is_ok(),
    })
}

async fn put(core: &Arc<Core>, bucket: &dyn Bucket, order: &Order) -> Result<Outcome, Failure> {
    let body = read(core, order, 0..order.sealed_bytes.unwrap_or(0)).await?;
    let summed = body.clone();
    let sent = tokio::task::spawn_blocking(move || md5_etag(&summed)).await;
    let sent = sent.map_err(|error| Failure::Local(io::Error::other(error)))?;
    let meta = bucket.put(&order.object_name, body).await?;
    let progress = Progress::Arrived(Arrived { sent: vec![sent], told: Some(meta.etag), upload_id: None });
    Ok(Outcome::Progress { progress, part_bytes: order.part_bytes, is_noted: true })
}

async fn part(core: &Arc<Core>, bucket: &dyn Bucket, order: &Order, number: u32) -> Result<Outcome, Failure> {
    let Progress::Parts(parts) = &order.progress else { return Ok(Outcome::Gone) };
    let body = read(core, order, part_range(number, order.part_bytes, order.sealed_bytes)).await?;
    let etag = bucket.put_part(&order.object_name, &parts.upload_id, number, body).await?;
    let noted = async {
        if order.is_unnoted {
            core.catalog.begin_upload(order.id, &parts.upload_id, order.part_bytes).await?;
            for (number, etag) in &parts.tags {
                core.catalog.put_upload_part(order.id, *number, etag).await?;
            }
        }
        core.catalog.put_upload_part(order.id, number, &etag).await
    };
    let noted = noted.await;
    if let Err(error) = &noted {
        debug!(segment_id = %order.id, number, %error, "a part that arrived is not noted yet");
    }
    Ok(Outcome::Part { number, etag, is_noted: noted.is_ok() })
}

async fn complete(bucket: &dyn Bucket, order: &Order) -> Result<Outcome, Failure> {
    let Progress::Parts(parts) = &order.progress else { return Ok(Outcome::Gone) };
    let arrived = |told| Outcome::Progress {
        progress: Progress::Arrived(Arrived::of_parts(&parts.upload_id, &parts.tags, told)),
        part_bytes: order.part_bytes,
        is_noted: true,
    };
    // What the bucket holds of the upload, as long as it is one: the answer to the end counts only if that is what was sent.
    let is_as_sent = match bucket.parts(&order.object_name, &parts.upload_id).await {
        Ok(listed) => {
            let sealed_bytes = order.sealed_bytes.unwrap_or(0);
            is_listed_as_sent(&listed, &parts.tags, order.part_bytes, sealed_bytes)
        }
        // An answer to an earlier try was lost: the object is looked for before anything is done again.
        Err(BucketError::NoSuchUpload) => return Ok(arrived(None)),
        // A service without that list, or one that does not show it to this key.
        Err(BucketError::Invalid { .. } | BucketError::Refused { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    let list: Vec<_> = parts.tags.iter().map(|(number, etag)| (*number, etag.clone())).collect();
    match bucket.complete_upload(&order.object_name, &parts.upload_id, &list).await {
        Ok(told) => Ok(arrived(told.filter(|_| is_as_sent))),
        Err(BucketError::NoSuchUpload) => Ok(arrived(None)),
        Err(error @ BucketError::Unreachable { .. }) => match bucket.head(&order.object_name).await {
            Ok(Some(meta)) if Some(meta.size_bytes) == order.sealed_bytes => Ok(arrived(None)),
            _ => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Length and entity tag have to be those that were sent. The bucket has checked each part against its sum.
async fn confirm(bucket: &dyn Bucket, order: &Order) -> Result<Outcome, Failure> {
    let Progress::Arrived(arrived) = &order.progress else { return Ok(Outcome::Gone) };
    let there = bucket.head(&order.object_name).await?;
    Ok(match judge(arrived, order.sealed_bytes, there.as_ref()) {
        Ok(etag) => Outcome::Progress {
            progress: Progress::Confirmed { etag },
            part_bytes: order.part_bytes,
            is_noted: true,
        },
        Err(reason) => Outcome::NotThere { reason },
    })
}

async fn note(core: &Core, bucket: &dyn Bucket, order: &Order) -> Result<Outcome, Failure> {
    let Progress::Confirmed { etag } = &order.progress else { return Ok(Outcome::Gone) };
    if core.catalog.store_segment(order.id, etag, core.clock.now_us()).await? {
        return Ok(Outcome::Noted);
    }
    if core.catalog.segment(order.id).await?.is_some() {
        // Noted before, by a try whose answer was lost.
        return Ok(Outcome::Noted);
    }
    // Deleted while it was on its way: whoever removed its bytes did not see these.
    bucket.delete(&order.object_name).await?;
    Ok(Outcome::Gone)
}

/// Bytes of a segment, from its file in the spool or in the local store.
async fn read(core: &Arc<Core>, order: &Order, range: Range<u64>) -> Result<Bytes, Failure> {
    let (core, id, name) = (Arc::clone(core), order.id, order.object_name.clone());
    // The file that was written to need not be the one that was sealed: see `registrar::rescue`.
    let is_sealed = order.sealed_bytes.is_some();
    let bytes = tokio::task::spawn_blocking(move || {
        let file = match core.registry.get(id).filter(|_| !is_sealed) {
            Some(growing) => Arc::clone(&growing.file),
            None => core.store.open(&name)?,
        };
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        read_exact_at(file.as_ref(), &mut bytes, range.start)?;
        Ok(Bytes::from(bytes))
    });
    bytes.await.map_err(io::Error::other).flatten().map_err(Failure::Local)
}

//! A bucket in memory that can fail, forget and go away on request. For `memory:`, for tests and for simulated time;
//! deterministic.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use world::Clock;

use super::{
    BoxFuture, Bucket, BucketClock, BucketError, BucketFault, BucketFaultRule, BucketOperation, ObjectMeta,
    PendingUpload, UploadedPart, check_name, md5_etag, multipart_etag, parts,
};
use crate::limits::MIN_PART_BYTES;

/// A bucket in memory. Clones are the same bucket, so that it outlives the program that a simulation lets crash.
#[derive(Clone)]
pub struct MemoryBucket {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct Object {
    body: Bytes,
    etag: String,
    modified_us: i64,
}

struct Upload {
    name: String,
    started_us: i64,
    parts: BTreeMap<u32, Object>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    begun: u64,
    min_part_bytes: u64,
    is_away: bool,
    /// Objects of parts have tags that nobody can compute.
    has_own_etags: bool,
    /// How far its clock is ahead of the one it was made with, where it shows one.
    clock_ahead_us: Option<i64>,
    rules: Vec<BucketFaultRule>,
    calls: BTreeMap<BucketOperation, u64>,
}

/// What becomes of a call.
enum Outcome<T> {
    Answer(Result<T, BucketError>),
    Never,
}

impl MemoryBucket {
    /// An empty bucket with the least size of a part that S3 has.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { min_part_bytes: MIN_PART_BYTES, ..State::default() };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    /// The same bucket with another least size of all parts but the last: simulations use tiny ones.
    #[must_use]
    pub fn with_min_part_bytes(self, min_part_bytes: u64) -> Self {
        self.lock().min_part_bytes = min_part_bytes;
        self
    }

    /// Adds a rule; earlier rules are asked first.
    pub fn inject(&self, rule: BucketFaultRule) {
        self.lock().rules.push(rule);
    }

    /// Nothing fails any more. Who is away stays away.
    pub fn heal(&self) {
        self.lock().rules.clear();
    }

    /// While it is away nothing reaches it.
    pub fn set_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
    }

    /// Objects made of parts get tags of its own making from here on, as with services that do not do as S3 does (Riak CS,
    /// Ceph with encryption, AWS with SSE-KMS).
    pub fn set_own_etags(&self, has_own_etags: bool) {
        self.lock().has_own_etags = has_own_etags;
    }

    /// Shows a clock that is so far ahead of the one it was made with, as a service on another machine does; `None`: none.
    pub fn show_clock(&self, ahead_us: Option<i64>) {
        self.lock().clock_ahead_us = ahead_us;
    }

    /// Removes an object past all faults, as somebody else does who empties the bucket; whether it was there.
    pub fn lose(&self, name: &str) -> bool {
        self.lock().objects.remove(name).is_some()
    }

    /// Puts other bytes under a name past all faults, as somebody else does.
    pub fn replace(&self, name: &str, body: Bytes) {
        let object = self.object(body);
        self.lock().objects.insert(name.to_owned(), object);
    }

    /// How often something was asked for, whether it failed or not.
    #[must_use]
    pub fn calls(&self, operation: BucketOperation) -> u64 {
        self.lock().calls.get(&operation).copied().unwrap_or(0)
    }

    /// How often anything was asked for.
    #[must_use]
    pub fn all_calls(&self) -> u64 {
        self.lock().calls.values().sum()
    }

    /// The names of all objects, past all faults.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// An object's bytes, past all faults.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Bytes> {
        self.lock().objects.get(name).map(|object| object.body.clone())
    }

    /// How many uploads are neither completed nor aborted.
    #[must_use]
    pub fn pending_uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, body: Bytes) -> Object {
        Object { etag: md5_etag(&body), body, modified_us: self.clock.now_us() }
    }

    /// Runs one call under the rules. It is done at the first poll, in one piece.
    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: BucketOperation,
        name: &'a str,
        act: impl FnOnce(&mut State, Option<BucketFault>) -> Result<T, BucketError> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, BucketError>> {
        Box::pin(async move {
            match self.outcome(operation, name, act) {
                Outcome::Answer(answer) => answer,
                Outcome::Never => std::future::pending().await,
            }
        })
    }

    fn outcome<T>(
        &self,
        operation: BucketOperation,
        name: &str,
        act: impl FnOnce(&mut State, Option<BucketFault>) -> Result<T, BucketError>,
    ) -> Outcome<T> {
        let mut state = self.lock();
        *state.calls.entry(operation).or_default() += 1;
        if state.is_away {
            return Outcome::Answer(Err(BucketError::unreachable("it is away")));
        }
        let fault = state.rules.iter_mut().find_map(|rule| rule.strike(operation, name));
        let names_upload = matches!(
            operation,
            BucketOperation::PutPart | BucketOperation::Parts | BucketOperation::CompleteUpload
        );
        Outcome::Answer(match fault {
            Some(BucketFault::Stalled) => return Outcome::Never,
            Some(BucketFault::Busy(retry_after)) => Err(BucketError::Busy {
                status: 503,
                retry_after,
                message: "SlowDown: no tomes available".into(),
            }),
            Some(BucketFault::Unreachable) => Err(BucketError::unreachable("connection refused")),
            Some(BucketFault::Refused) => {
                Err(BucketError::Refused { status: 403, message: "AccessDenied: not entitled".into() })
            }
            Some(BucketFault::UploadForgotten) if names_upload => {
                state.uploads.retain(|_, upload| upload.name != name);
                Err(BucketError::NoSuchUpload)
            }
            Some(BucketFault::UploadHidden) if names_upload => Err(BucketError::NoSuchUpload),
            Some(BucketFault::AnswerLost | BucketFault::TruncatedRead) => {
                act(&mut state, None).and(Err(BucketError::unreachable("connection reset")))
            }
            fault => act(&mut state, fault),
        })
    }
}

/// What arrives of a body, and what the comparison of ETags then says.
fn arrived(body: Bytes, fault: Option<BucketFault>) -> (Bytes, Result<(), BucketError>) {
    if fault != Some(BucketFault::Damaged) {
        return (body, Ok(()));
    }
    let mut damaged = BytesMut::from(body.as_ref());
    match damaged.first_mut() {
        Some(byte) => *byte ^= 0x55,
        None => damaged.extend_from_slice(&[0x55]),
    }
    (damaged.freeze(), Err(BucketError::Checksum { message: "the ETag is not that of what was sent".into() }))
}

/// The ETag as it is answered.
fn told(etag: &str, fault: Option<BucketFault>) -> String {
    if fault == Some(BucketFault::WrongEtag) { format!("not-{etag}") } else { etag.to_owned() }
}

fn meta(name: &str, object: &Object, fault: Option<BucketFault>) -> ObjectMeta {
    ObjectMeta {
        name: name.to_owned(),
        size_bytes: object.body.len() as u64,
        etag: told(&object.etag, fault),
        modified_us: object.modified_us,
    }
}

impl Upload {
    fn listed(&self) -> Vec<UploadedPart> {
        let listed = |(number, part): (&u32, &Object)| UploadedPart {
            number: *number,
            size_bytes: part.body.len() as u64,
            etag: part.etag.clone(),
        };
        self.parts.iter().map(listed).collect()
    }
}

impl State {
    fn upload(&mut self, name: &str, upload_id: &str) -> Result<&mut Upload, BucketError> {
        self.uploads.get_mut(upload_id).filter(|upload| upload.name == name).ok_or(BucketError::NoSuchUpload)
    }
}

impl Bucket for MemoryBucket {
    fn describe(&self) -> String {
        "memory:".into()
    }

    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectMeta>, BucketError>> {
        self.call(BucketOperation::Head, name, move |state, fault| {
            check_name(name)?;
            Ok(state.objects.get(name).map(|object| meta(name, object, fault)))
        })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        self.call(BucketOperation::Read, name, move |state, _| {
            check_name(name)?;
            let object = state.objects.get(name).ok_or_else(|| BucketError::not_found(name))?;
            let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            match bounds {
                Some((start, end)) if start <= end && end <= object.body.len() => {
                    Ok(object.body.slice(start..end))
                }
                _ => Err(BucketError::Invalid {
                    status: Some(416),
                    message: "the range is not inside the object".into(),
                }),
            }
        })
    }

    fn put<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<ObjectMeta, BucketError>> {
        self.call(BucketOperation::Put, name, move |state, fault| {
            check_name(name)?;
            let (body, compared) = arrived(body, fault);
            let object = self.object(body);
            state.objects.insert(name.to_owned(), object.clone());
            compared.map(|()| meta(name, &object, fault))
        })
    }

    fn begin_upload<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        self.call(BucketOperation::BeginUpload, name, move |state, _| {
            check_name(name)?;
            state.begun += 1;
            let upload_id = format!("upload-{:08}", state.begun);
            let upload =
                Upload { name: name.to_owned(), started_us: self.clock.now_us(), parts: BTreeMap::new() };
            state.uploads.insert(upload_id.clone(), upload);
            Ok(upload_id)
        })
    }

    fn put_part<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        self.call(BucketOperation::PutPart, name, move |state, fault| {
            parts::check_number(number)?;
            let upload = state.upload(name, upload_id)?;
            let (body, compared) = arrived(body, fault);
            let part = self.object(body);
            let etag = told(&part.etag, fault);
            upload.parts.insert(number, part);
            compared.map(|()| etag)
        })
    }

    fn parts<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<UploadedPart>, BucketError>> {
        self.call(BucketOperation::Parts, name, move |state, _| Ok(state.upload(name, upload_id)?.listed()))
    }

    fn complete_upload<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
        parts: &'a [(u32, String)],
    ) -> BoxFuture<'a, Result<Option<String>, BucketError>> {
        self.call(BucketOperation::CompleteUpload, name, move |state, fault| {
            let min_part_bytes = state.min_part_bytes;
            let upload = state.upload(name, upload_id)?;
            let there = upload.listed();
            let chosen = parts::chosen(parts, &there, min_part_bytes)?;
            let etag = multipart_etag(chosen.iter().map(|part| part.etag.as_str())).unwrap_or_default();
            let mut body = BytesMut::new();
            for part in chosen {
                if let Some(part) = upload.parts.get(&part.number) {
                    body.extend_from_slice(&part.body);
                }
            }
            let etag = if state.has_own_etags { format!("own-{:08}", state.begun) } else { etag };
            let object = Object { body: body.freeze(), etag, modified_us: self.clock.now_us() };
            let answer = told(&object.etag, fault);
            state.objects.insert(name.to_owned(), object);
            state.uploads.remove(upload_id);
            Ok(Some(answer))
        })
    }

    fn abort_upload<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        self.call(BucketOperation::AbortUpload, name, move |state, _| {
            if state.upload(name, upload_id).is_ok() {
                state.uploads.remove(upload_id);
            }
            Ok(())
        })
    }

    fn uploads<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<PendingUpload>, BucketError>> {
        self.call(BucketOperation::Uploads, prefix, move |state, _| {
            let mut uploads: Vec<PendingUpload> = state
                .uploads
                .iter()
                .filter(|(_, upload)| upload.name.starts_with(prefix))
                .map(|(upload_id, upload)| PendingUpload {
                    name: upload.name.clone(),
                    upload_id: upload_id.clone(),
                    started_us: upload.started_us,
                })
                .collect();
            uploads.sort_by(|one, next| (&one.name, &one.upload_id).cmp(&(&next.name, &next.upload_id)));
            Ok(uploads)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        self.call(BucketOperation::Delete, name, move |state, _| {
            check_name(name)?;
            state.objects.remove(name);
            Ok(())
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<ObjectMeta>, BucketError>> {
        self.call(BucketOperation::List, prefix, move |state, _| {
            let listed = state
                .objects
                .iter()
                .filter(|(name, _)| name.starts_with(prefix))
                .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
                .take(limit)
                .map(|(name, object)| meta(name, object, None));
            Ok(listed.collect())
        })
    }

    fn presigned_get<'a>(
        &'a self,
        name: &'a str,
        _expires_in: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, BucketError>> {
        self.call(BucketOperation::PresignedGet, name, |_, _| Ok(None))
    }

    fn clock(&self) -> BoxFuture<'_, Option<BucketClock>> {
        Box::pin(async {
            let state = self.lock();
            let ahead_us = state.clock_ahead_us.filter(|_| !state.is_away)?;
            Some(BucketClock { now_us: self.clock.now_us().saturating_add(ahead_us), is_elsewhere: true })
        })
    }
}

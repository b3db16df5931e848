//! An S3 service inside the test: `s3s` speaks the protocol and checks signatures, `s3s-fs` keeps the objects in a
//! folder, and the layer between them adds what `s3s-fs` lacks: the lists of uploads and parts with ETags, the check of
//! parts at the end, versions, CORS (which it applies) and lifecycle rules.
//!
//! Pages are tiny, so that every listing of more than a few entries goes over several.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use s3s::{
    S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    auth::SimpleAuth,
    dto::*,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};

use crate::cors::Asked;

/// Name of the bucket that is there.
pub const BUCKET: &str = "club-footage";

/// The one key that the service knows.
pub const KEY_ID: &str = "GK0123456789";

/// Its secret: what must never be seen anywhere.
pub const SECRET_KEY: &str = "hunter2-hunter2";

/// Entries in a page.
const PAGE: usize = 2;

/// A running service. It ends with this value.
pub struct TestS3 {
    /// Where it listens, by plain HTTP.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    folder: TempDir,
    _server: JoinSet<()>,
}

/// What the layer keeps.
#[derive(Default)]
struct State {
    /// Whether the bucket keeps versions, as B2's always do.
    is_versioned: bool,
    /// Whether it knows CORS and lifecycle rules, and lists of uploads.
    is_bare: bool,
    uploads: BTreeMap<String, Upload>,
    versions: BTreeMap<String, Vec<(String, bool)>>,
    counted: u64,
    taken: Vec<TakenPart>,
    cors: Option<CORSConfiguration>,
    lifecycle: Option<BucketLifecycleConfiguration>,
    wishes: Vec<Wishes>,
}

struct Upload {
    key: String,
    begun: Timestamp,
    parts: BTreeMap<i32, (i64, ETag)>,
}

/// A part that was taken.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TakenPart {
    /// Name of the object.
    pub key: String,
    /// The upload it belongs to.
    pub upload_id: String,
    /// Its number, from 1.
    pub number: i32,
}

/// What an object was asked to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wishes {
    /// `content-type`
    pub content_type: Option<String>,
    /// `x-amz-server-side-encryption`
    pub encryption: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`
    pub kms_key: Option<String>,
    /// `x-amz-storage-class`
    pub storage_class: Option<String>,
}

struct Layer {
    objects: FileSystem,
    state: Arc<Mutex<State>>,
}

impl TestS3 {
    /// Starts a service with one empty bucket, which keeps no versions.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let layer = Layer { objects: FileSystem::new(folder.path()).unwrap(), state: state.clone() };
        let service = {
            let mut builder = S3ServiceBuilder::new(layer);
            builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET_KEY));
            builder.build()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, service, Arc::clone(&state)));
        Self { address, state, folder, _server: server }
    }

    /// From now on nothing that is stored is ever overwritten or deleted but by its version.
    pub fn keep_versions(&self) {
        self.lock().is_versioned = true;
    }

    /// From now on it knows no CORS, no lifecycle and no lists of uploads.
    pub fn be_bare(&self) {
        self.lock().is_bare = true;
    }

    /// Versions and deletion marks of all objects whose names contain `part`.
    pub fn versions(&self, part: &str) -> usize {
        let state = self.lock();
        state.versions.iter().filter(|(key, _)| key.contains(part)).map(|(_, versions)| versions.len()).sum()
    }

    /// Uploads that are neither completed nor aborted.
    pub fn pending_uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    /// Every part that was taken so far, in order; one that was sent twice twice.
    pub fn taken_parts(&self) -> Vec<TakenPart> {
        self.lock().taken.clone()
    }

    /// The bytes of an object; `None` while there is none.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join(BUCKET).join(key)).ok()
    }

    /// Removes every object, as somebody else does who has the key; how many there were.
    pub fn empty(&self) -> usize {
        let mut folders = vec![self.folder.path().join(BUCKET)];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    std::fs::remove_file(entry.path()).unwrap();
                    count += 1;
                }
            }
        }
        count
    }

    /// What the objects so far were asked to be.
    pub fn wishes(&self) -> Vec<Wishes> {
        self.lock().wishes.clone()
    }

    /// The CORS rules.
    pub fn cors(&self) -> Option<CORSConfiguration> {
        self.lock().cors.clone()
    }

    /// Sets the CORS rules, as somebody else would.
    pub fn set_cors(&self, rules: Vec<CORSRule>) {
        self.lock().cors = Some(CORSConfiguration { cors_rules: rules });
    }

    /// Sets one CORS rule.
    pub fn allow_pages(
        &self,
        origins: Vec<String>,
        methods: Vec<String>,
        headers: Vec<String>,
        exposed: Vec<String>,
    ) {
        self.set_cors(vec![CORSRule {
            allowed_origins: origins,
            allowed_methods: methods,
            allowed_headers: Some(headers),
            expose_headers: Some(exposed),
            ..CORSRule::default()
        }]);
    }

    /// The lifecycle rules.
    pub fn lifecycle(&self) -> Option<BucketLifecycleConfiguration> {
        self.lock().lifecycle.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn serve(listener: TcpListener, service: S3Service, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (service, state) = (service.clone(), Arc::clone(&state));
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, state) = (service.clone(), Arc::clone(&state));
            async move {
                let asked = Asked::of(&request);
                let rules = || {
                    state
                        .lock()
                        .unwrap()
                        .cors
                        .as_ref()
                        .map(|cors| cors.cors_rules.clone())
                        .unwrap_or_default()
                };
                if let Some(preflight) = asked.as_ref().and_then(|asked| asked.preflight(&rules())) {
                    return Ok(preflight);
                }
                let mut response = service.call(request.map(Into::into)).await?;
                if let Some(asked) = asked {
                    asked.allow(&rules(), response.headers_mut());
                }
                Ok::<_, s3s::HttpError>(response)
            }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
        connections.spawn(async move {
            // A client that goes away is no failure of the test.
            let _ = connection.await;
        });
    }
}

fn no(code: S3ErrorCode) -> S3Error {
    S3Error::new(code)
}

/// The part of a sorted list after `after`, and whether more follows.
fn page<T>(all: Vec<T>, is_after: impl Fn(&T) -> bool) -> (Vec<T>, bool) {
    let mut rest: Vec<T> = all.into_iter().filter(is_after).collect();
    let is_truncated = rest.len() > PAGE;
    rest.truncate(PAGE);
    (rest, is_truncated)
}

impl Layer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn stored(&mut self, key: &str, is_marker: bool) {
        if self.is_versioned {
            self.counted += 1;
            let id = format!("4_z{:06}", self.counted);
            self.versions.entry(key.to_owned()).or_default().push((id, is_marker));
        }
    }

    fn upload(&mut self, key: &str, id: &str) -> S3Result<&mut Upload> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.key == key)
            .ok_or_else(|| no(S3ErrorCode::NoSuchUpload))
    }

    fn needs_rules(&self) -> S3Result<()> {
        if self.is_bare { Err(no(S3ErrorCode::NotImplemented)) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl S3 for Layer {
    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.objects.get_object(req).await
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.objects.head_object(req).await
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let key = req.input.key.clone();
        let wishes = Wishes {
            content_type: req.input.content_type.clone(),
            encryption: req.input.server_side_encryption.as_ref().map(|kind| kind.as_str().to_owned()),
            kms_key: req.input.ssekms_key_id.clone(),
            storage_class: req.input.storage_class.as_ref().map(|class| class.as_str().to_owned()),
        };
        let answer = self.objects.put_object(req).await?;
        let mut state = self.lock();
        state.wishes.push(wishes);
        state.stored(&key, false);
        Ok(answer)
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (key, version) = (req.input.key.clone(), req.input.version_id.clone());
        let is_gone = {
            let mut state = self.lock();
            match version {
                Some(version) => {
                    let versions = state.versions.entry(key.clone()).or_default();
                    versions.retain(|(id, _)| *id != version);
                    versions.iter().all(|(_, is_marker)| *is_marker)
                }
                None => {
                    state.stored(&key, true);
                    true
                }
            }
        };
        if is_gone {
            self.objects.delete_object(req).await
        } else {
            Ok(S3Response::new(DeleteObjectOutput::default()))
        }
    }

    async fn list_objects_v2(
        &self,
        mut req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let page = i32::try_from(PAGE).unwrap_or(i32::MAX);
        req.input.max_keys = Some(req.input.max_keys.unwrap_or(page).min(page));
        self.objects.list_objects_v2(req).await
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let state = self.lock();
        if !state.is_versioned {
            return Err(no(S3ErrorCode::NotImplemented));
        }
        let input = req.input;
        let prefix = input.prefix.unwrap_or_default();
        let all: Vec<(String, String, bool)> = state
            .versions
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .flat_map(|(key, versions)| {
                versions.iter().map(|(id, is_marker)| (key.clone(), id.clone(), *is_marker))
            })
            .collect();
        let after = (input.key_marker.unwrap_or_default(), input.version_id_marker.unwrap_or_default());
        let (entries, is_truncated) = page(all, |(key, id, _)| (key, id) > (&after.0, &after.1));
        let last = entries.last().filter(|_| is_truncated).cloned();
        let (markers, versions): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(_, _, is_marker)| *is_marker);
        Ok(S3Response::new(ListObjectVersionsOutput {
            is_truncated: Some(is_truncated),
            next_key_marker: last.as_ref().map(|(key, ..)| key.clone()),
            next_version_id_marker: last.map(|(_, id, _)| id),
            versions: Some(
                versions
                    .into_iter()
                    .map(|(key, id, _)| ObjectVersion {
                        key: Some(key),
                        version_id: Some(id),
                        ..ObjectVersion::default()
                    })
                    .collect(),
            ),
            delete_markers: Some(
                markers
                    .into_iter()
                    .map(|(key, id, _)| DeleteMarkerEntry {
                        key: Some(key),
                        version_id: Some(id),
                        ..DeleteMarkerEntry::default()
                    })
                    .collect(),
            ),
            ..ListObjectVersionsOutput::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let key = req.input.key.clone();
        let wishes = Wishes {
            content_type: req.input.content_type.clone(),
            encryption: req.input.server_side_encryption.as_ref().map(|kind| kind.as_str().to_owned()),
            kms_key: req.input.ssekms_key_id.clone(),
            storage_class: req.input.storage_class.as_ref().map(|class| class.as_str().to_owned()),
        };
        let answer = self.objects.create_multipart_upload(req).await?;
        let id = answer.output.upload_id.clone().unwrap_or_default();
        let mut state = self.lock();
        state.wishes.push(wishes);
        #[expect(clippy::disallowed_methods, reason = "a service has a clock of its own")]
        let begun = Timestamp::from(SystemTime::now());
        state.uploads.insert(id, Upload { key, begun, parts: BTreeMap::new() });
        Ok(answer)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let (key, id, number) = (req.input.key.clone(), req.input.upload_id.clone(), req.input.part_number);
        let size = req.input.content_length.unwrap_or_default();
        self.lock().upload(&key, &id)?;
        let answer = self.objects.upload_part(req).await?;
        if let Some(etag) = answer.output.e_tag.clone() {
            let mut state = self.lock();
            state.upload(&key, &id)?.parts.insert(number, (size, etag));
            state.taken.push(TakenPart { key, upload_id: id, number });
        }
        Ok(answer)
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = req.input;
        let mut state = self.lock();
        let upload = state.upload(&input.key, &input.upload_id)?;
        let after = input.part_number_marker.unwrap_or_default();
        let all = upload.parts.iter().map(|(number, part)| (*number, part.clone())).collect();
        let (parts, is_truncated) = page(all, |(number, _)| *number > after);
        Ok(S3Response::new(ListPartsOutput {
            is_truncated: Some(is_truncated),
            next_part_number_marker: parts.last().filter(|_| is_truncated).map(|(number, _)| *number),
            parts: Some(
                parts
                    .into_iter()
                    .map(|(number, (size, etag))| Part {
                        part_number: Some(number),
                        size: Some(size),
                        e_tag: Some(etag),
                        ..Part::default()
                    })
                    .collect(),
            ),
            ..ListPartsOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (key, id) = (req.input.key.clone(), req.input.upload_id.clone());
        let wanted = req.input.multipart_upload.clone().and_then(|upload| upload.parts).unwrap_or_default();
        {
            let mut state = self.lock();
            let there = &state.upload(&key, &id)?.parts;
            for (index, part) in wanted.iter().enumerate() {
                let found = part.part_number.and_then(|number| there.get(&number));
                let (size, etag) = found.ok_or_else(|| no(S3ErrorCode::InvalidPart))?;
                let said = part.e_tag.as_ref().map(ETag::value);
                if said != Some(etag.value()) {
                    return Err(no(S3ErrorCode::InvalidPart));
                }
                // s3s-fs finds this out when it has thrown the upload away.
                if index + 1 < wanted.len() && *size < 5 * 1024 * 1024 {
                    return Err(no(S3ErrorCode::EntityTooSmall));
                }
            }
        }
        let answer = self.objects.complete_multipart_upload(req).await?;
        let mut state = self.lock();
        state.uploads.remove(&id);
        state.stored(&key, false);
        Ok(answer)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        {
            let mut state = self.lock();
            state.upload(&req.input.key, &req.input.upload_id)?;
            state.uploads.remove(&req.input.upload_id);
        }
        self.objects.abort_multipart_upload(req).await
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = req.input;
        let state = self.lock();
        state.needs_rules()?;
        let prefix = input.prefix.unwrap_or_default();
        let mut all: Vec<(String, String, Timestamp)> = state
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(&prefix))
            .map(|(id, upload)| (upload.key.clone(), id.clone(), upload.begun.clone()))
            .collect();
        all.sort_by(|one, next| (&one.0, &one.1).cmp(&(&next.0, &next.1)));
        let after = (input.key_marker.unwrap_or_default(), input.upload_id_marker.unwrap_or_default());
        let (uploads, is_truncated) = page(all, |(key, id, _)| (key, id) > (&after.0, &after.1));
        let last = uploads.last().filter(|_| is_truncated).cloned();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            is_truncated: Some(is_truncated),
            next_key_marker: last.as_ref().map(|(key, ..)| key.clone()),
            next_upload_id_marker: last.map(|(_, id, _)| id),
            uploads: Some(
                uploads
                    .into_iter()
                    .map(|(key, id, begun)| MultipartUpload {
                        key: Some(key),
                        upload_id: Some(id),
                        initiated: Some(begun),
                        ..MultipartUpload::default()
                    })
                    .collect(),
            ),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    async fn get_bucket_cors(
        &self,
        _req: S3Request<GetBucketCorsInput>,
    ) -> S3Result<S3Response<GetBucketCorsOutput>> {
        let state = self.lock();
        state.needs_rules()?;
        match &state.cors {
            Some(cors) => {
                Ok(S3Response::new(GetBucketCorsOutput { cors_rules: Some(cors.cors_rules.clone()) }))
            }
            None => Err(no(S3ErrorCode::NoSuchCORSConfiguration)),
        }
    }

    async fn put_bucket_cors(
        &self,
        req: S3Request<PutBucketCorsInput>,
    ) -> S3Result<S3Response<PutBucketCorsOutput>> {
        let mut state = self.lock();
        state.needs_rules()?;
        state.cors = Some(req.input.cors_configuration);
        Ok(S3Response::new(PutBucketCorsOutput::default()))
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        _req: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        let state = self.lock();
        state.needs_rules()?;
        match &state.lifecycle {
            Some(lifecycle) => Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
                rules: Some(lifecycle.rules.clone()),
                ..GetBucketLifecycleConfigurationOutput::default()
            })),
            None => Err(no(S3ErrorCode::NoSuchLifecycleConfiguration)),
        }
    }

    async fn put_bucket_lifecycle_configuration(
        &self,
        req: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let mut state = self.lock();
        state.needs_rules()?;
        state.lifecycle = req.input.lifecycle_configuration;
        Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
    }
}

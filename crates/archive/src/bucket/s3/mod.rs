//! Buckets of S3 services: Backblaze B2, AWS, Garage, MinIO and others.
//!
//! `object_store` signs the requests, makes the presigned URLs and carries the bytes; the requests themselves are made
//! here. Its own S3 store retries by itself, gives neither the status nor `Retry-After` of what failed, and has no
//! listing of uploads, parts and versions, no deletion of versions, and no CORS and lifecycle rules; with one way for
//! all requests every answer is judged by the same rules (`answer`).
//!
//! What B2 does not take is never sent: checksum headers, tags, `aws-chunked` bodies, conditional writes. What guards a
//! body instead is its `Content-MD5`, which every service checks, and the ETag of the answer.

mod admin;
mod answer;
mod connection;
mod rules;
mod xml;

use std::{
    fmt::Write as _,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, RANGE},
};
use object_store::{
    aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut},
    path::Path,
    signer::Signer as _,
};
use quick_xml::escape::escape;

pub use self::{
    admin::{Checked, Finding, Fixed, Verdict},
    connection::TimeOuts,
};
use self::{
    answer::Answer,
    connection::{Connection, Digests, Extent, Request},
};
use super::{
    BoxFuture, Bucket, BucketClock, BucketError, Encryption, EtagKind, ObjectMeta, PendingUpload,
    S3Credentials, S3Location, UploadedPart, check_name,
    etag::{hex, looks_like_md5, unquote},
    parts,
};
use crate::limits::{BUCKET_PAGE_ENTRIES, MAX_BUCKET_PAGES, MAX_PRESIGNED_SECONDS};

/// An object that nobody makes, asked for to hear what time it is.
const CLOCK_NAME: &str = "turepe-clock";

/// A bucket of an S3 service.
pub struct S3Bucket {
    location: S3Location,
    connection: Connection,
    /// Makes presigned URLs.
    signer: AmazonS3,
    /// Whether the service has said that it knows no versions.
    is_unversioned: Arc<AtomicBool>,
}

impl S3Bucket {
    /// A bucket at `location`. Nothing is asked of it yet.
    ///
    /// # Errors
    /// What cannot be worked with, without repeating a secret.
    pub fn new(location: S3Location, credentials: &S3Credentials) -> Result<Self, BucketError> {
        Self::with_time_outs(location, credentials, TimeOuts::default())
    }

    /// The same with other time-outs.
    ///
    /// # Errors
    /// As [`S3Bucket::new`].
    pub fn with_time_outs(
        location: S3Location,
        credentials: &S3Credentials,
        time_outs: TimeOuts,
    ) -> Result<Self, BucketError> {
        credentials.validate().map_err(BucketError::invalid)?;
        let connection = Connection::new(&location, credentials, time_outs)?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&location.bucket)
            .with_region(&location.region)
            .with_endpoint(if location.is_path_style {
                location.endpoint.as_str().trim_end_matches('/').to_owned()
            } else {
                connection.bucket_url().to_owned()
            })
            .with_virtual_hosted_style_request(!location.is_path_style)
            .with_allow_http(location.endpoint.scheme() == "http")
            .with_access_key_id(&credentials.key_id)
            .with_secret_access_key(&credentials.secret)
            .with_conditional_put(S3ConditionalPut::Disabled)
            .with_http_connector(connection.connector());
        if let Some(token) = &credentials.session_token {
            builder = builder.with_token(token);
        }
        let signer =
            builder.build().map_err(|_| BucketError::invalid("the bucket's settings do not fit together"))?;
        Ok(Self { location, connection, signer, is_unversioned: Arc::default() })
    }

    /// The object's full name.
    fn key(&self, name: &str) -> Result<String, BucketError> {
        check_name(name)?;
        let key = self.full(name);
        // The prefix counts as well.
        check_name(&key)?;
        Ok(key)
    }

    /// A name or the beginning of one, behind the bucket's prefix.
    fn full(&self, name: &str) -> String {
        if self.location.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.location.prefix)
        }
    }

    /// The name inside the prefix; `None` for what is not ours.
    fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        if self.location.prefix.is_empty() {
            Some(key)
        } else {
            key.strip_prefix(&self.location.prefix)?.strip_prefix('/')
        }
    }

    /// What a new object is to be: its type, encryption and storage class.
    fn object_headers(&self, name: &str) -> Result<Vec<(HeaderName, HeaderValue)>, BucketError> {
        let plain = |value: &str| {
            HeaderValue::from_str(value)
                .map_err(|_| BucketError::invalid("a setting cannot stand in a header"))
        };
        // Players take a Range of what is named a film; some refuse other types.
        let content_type = if name.ends_with(".mp4") { "video/mp4" } else { "application/octet-stream" };
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        const SSE: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
        const KMS_KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
        const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
        match &self.location.encryption {
            None => {}
            Some(Encryption::Aes256) => headers.push((SSE, HeaderValue::from_static("AES256"))),
            Some(Encryption::Kms(key)) => {
                headers.push((SSE, HeaderValue::from_static("aws:kms")));
                if let Some(key) = key {
                    headers.push((KMS_KEY, plain(key)?));
                }
            }
        }
        if let Some(class) = &self.location.storage_class {
            headers.push((STORAGE_CLASS, plain(class)?));
        }
        Ok(headers)
    }

    /// What guards a body, computed once for request and answer.
    async fn digests(&self, body: &Bytes) -> Result<Digests, BucketError> {
        Digests::of(body, self.location.etag == EtagKind::Opaque).await
    }

    /// The ETag of an answer to a body, compared with what was sent.
    fn compared(&self, answer: &Answer, digests: &Digests) -> Result<String, BucketError> {
        let etag = answer.etag()?;
        let sent = hex(&digests.md5);
        if self.location.etag == EtagKind::Md5 && looks_like_md5(&etag) && !etag.eq_ignore_ascii_case(&sent) {
            return Err(BucketError::Checksum { message: format!("sent {sent}, the bucket has {etag}") });
        }
        Ok(etag)
    }

    async fn head(&self, name: &str) -> Result<Option<ObjectMeta>, BucketError> {
        let key = self.key(name)?;
        let answer = self.connection.send(Request::new(Method::HEAD, Some(&key))).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = answer.success(name)?;
        let size_bytes = answer.content_length().ok_or_else(|| answer.odd("no length"))?;
        Ok(Some(ObjectMeta {
            name: name.to_owned(),
            size_bytes,
            etag: answer.etag()?,
            modified_us: answer.last_modified_us(),
        }))
    }

    async fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        let wanted = range.end.saturating_sub(range.start);
        let bytes = self.fetch(name, range, Extent::Whole).await?;
        if bytes.len() as u64 != wanted {
            return Err(BucketError::unreachable("the answer's body broke off"));
        }
        Ok(bytes)
    }

    /// A range, or the beginning of it.
    async fn fetch(&self, name: &str, range: Range<u64>, extent: Extent) -> Result<Bytes, BucketError> {
        let key = self.key(name)?;
        let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) else {
            return if range.is_empty() && range.start == range.end {
                Ok(Bytes::new())
            } else {
                Err(BucketError::invalid("the range ends before it begins"))
            };
        };
        let asked = format!("bytes={}-{last}", range.start);
        let asked = HeaderValue::from_str(&asked).map_err(|_| BucketError::invalid("not a range"))?;
        let wanted = range.end - range.start;
        let request = Request::new(Method::GET, Some(&key)).header(RANGE, asked).only_part(wanted, extent);
        let answer = self.connection.send(request).await?;
        // Footage is no page, whatever the status says of it.
        answer.no_page()?;
        let answer = answer.success(name)?;
        let given =
            answer.content_range().filter(|given| given.start == range.start && given.end <= range.end);
        let Some(given) = given.filter(|given| extent == Extent::Begun || given.end == range.end) else {
            return Err(answer.odd("another range than the one that was asked for"));
        };
        let given = given.end - given.start;
        if answer.body.len() as u64 > given {
            return Err(answer.odd("more than the range that it names"));
        }
        if answer.body.is_empty() {
            return Err(BucketError::unreachable("the answer's body broke off"));
        }
        Ok(answer.body)
    }

    async fn put(&self, name: &str, body: Bytes) -> Result<ObjectMeta, BucketError> {
        let key = self.key(name)?;
        let (digests, size_bytes) = (self.digests(&body).await?, body.len() as u64);
        let mut request = Request::new(Method::PUT, Some(&key)).body(body, digests.clone());
        request.headers = self.object_headers(name)?;
        let answer = self.connection.send(request).await?.success(name)?;
        let etag = self.compared(&answer, &digests)?;
        Ok(ObjectMeta { name: name.to_owned(), size_bytes, etag, modified_us: answer.date_us() })
    }

    async fn begin_upload(&self, name: &str) -> Result<String, BucketError> {
        let key = self.key(name)?;
        let mut request = Request::new(Method::POST, Some(&key)).query("uploads", "");
        request.headers = self.object_headers(name)?;
        let answer = self.connection.send(request).await?.success(name)?;
        let begun: xml::InitiateMultipartUploadResult = answer.xml()?;
        Ok(begun.upload_id)
    }

    async fn put_part(
        &self,
        name: &str,
        upload_id: &str,
        number: u32,
        body: Bytes,
    ) -> Result<String, BucketError> {
        parts::check_number(number)?;
        let key = self.key(name)?;
        let digests = self.digests(&body).await?;
        let request = Request::new(Method::PUT, Some(&key))
            .query("partNumber", &number.to_string())
            .query("uploadId", upload_id)
            .body(body, digests.clone());
        let answer = self.connection.send(request).await?.upload_success(name)?;
        self.compared(&answer, &digests)
    }

    async fn parts(&self, name: &str, upload_id: &str) -> Result<Vec<UploadedPart>, BucketError> {
        let key = self.key(name)?;
        let mut parts = Vec::new();
        let mut marker: Option<u32> = None;
        for _ in 0..MAX_BUCKET_PAGES {
            let mut request = Request::new(Method::GET, Some(&key)).query("uploadId", upload_id);
            if let Some(marker) = marker {
                request = request.query("part-number-marker", &marker.to_string());
            }
            let answer = self.connection.send(request).await?.upload_success(name)?;
            let page: xml::ListPartsResult = answer.xml()?;
            parts.extend(page.parts.into_iter().map(|part| UploadedPart {
                number: part.part_number,
                size_bytes: part.size,
                etag: unquote(&part.e_tag).to_owned(),
            }));
            let last = parts.last().map(|part| part.number);
            if !page.is_truncated || last <= marker {
                break;
            }
            let next = page.next_part_number_marker.and_then(|next| next.parse().ok());
            marker = next.filter(|next| Some(*next) > marker).or(last);
        }
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    async fn complete_upload(
        &self,
        name: &str,
        upload_id: &str,
        parts: &[(u32, String)],
    ) -> Result<Option<String>, BucketError> {
        let key = self.key(name)?;
        let mut body =
            String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for (number, etag) in parts {
            // Writing to a String cannot fail.
            let _ = write!(
                body,
                "<Part><PartNumber>{number}</PartNumber><ETag>&quot;{}&quot;</ETag></Part>",
                escape(etag.as_str())
            );
        }
        body.push_str("</CompleteMultipartUpload>");
        let request = Request::new(Method::POST, Some(&key)).query("uploadId", upload_id).xml(body).await?;
        // The status is sent before the work is done: only the body says how it ended (API_CompleteMultipartUpload).
        let answer = self.connection.send(request).await?.upload_success(name)?.success_inside(name)?;
        // It is done: a body that cannot be read only tells less.
        let told = answer.xml::<xml::CompleteMultipartUploadResult>().map(|result| result.e_tag);
        Ok(told.ok().map(|etag| unquote(&etag).to_owned()).filter(|etag| !etag.is_empty()))
    }

    async fn abort_upload(&self, name: &str, upload_id: &str) -> Result<(), BucketError> {
        let key = self.key(name)?;
        let request = Request::new(Method::DELETE, Some(&key)).query("uploadId", upload_id);
        match self.connection.send(request).await?.upload_success(name) {
            Ok(_) | Err(BucketError::NoSuchUpload) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<PendingUpload>, BucketError> {
        let prefix = self.full(prefix);
        let mut uploads = Vec::new();
        let mut markers: Option<(String, String)> = None;
        for _ in 0..MAX_BUCKET_PAGES {
            let mut request = Request::new(Method::GET, None).query("uploads", "").query("prefix", &prefix);
            if let Some((key, upload_id)) = &markers {
                request = request.query("key-marker", key).query("upload-id-marker", upload_id);
            }
            let answer = self.connection.send(request).await?.success("")?;
            let page: xml::ListMultipartUploadsResult = answer.xml()?;
            // A service that does not filter must not make us take up, or abort, what is somebody else's.
            for upload in page.uploads.into_iter().filter(|upload| upload.key.starts_with(&prefix)) {
                if let Some(name) = self.name(&upload.key) {
                    uploads.push(PendingUpload {
                        name: name.to_owned(),
                        upload_id: upload.upload_id,
                        started_us: xml::time_us(&upload.initiated),
                    });
                }
            }
            let next =
                (page.next_key_marker.unwrap_or_default(), page.next_upload_id_marker.unwrap_or_default());
            if !page.is_truncated || markers.as_ref() == Some(&next) || next.0.is_empty() {
                break;
            }
            markers = Some(next);
        }
        Ok(uploads)
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        let key = self.key(name)?;
        if !self.is_unversioned.load(Ordering::Relaxed) {
            match self.versions(&key).await? {
                Some(versions) => {
                    for version in versions {
                        self.delete_version(&key, Some(&version)).await?;
                    }
                    return Ok(());
                }
                None => self.is_unversioned.store(true, Ordering::Relaxed),
            }
        }
        self.delete_version(&key, None).await
    }

    async fn delete_version(&self, key: &str, version: Option<&str>) -> Result<(), BucketError> {
        let mut request = Request::new(Method::DELETE, Some(key));
        if let Some(version) = version {
            request = request.query("versionId", version);
        }
        let answer = self.connection.send(request).await?;
        if answer.status == StatusCode::NOT_FOUND && !answer.is_about_the_bucket() {
            return Ok(());
        }
        answer.success(key).map(|_| ())
    }

    /// The versions and deletion marks of one object; `None` if the service knows no versions.
    async fn versions(&self, key: &str) -> Result<Option<Vec<String>>, BucketError> {
        let mut versions = Vec::new();
        let mut markers: Option<(String, String)> = None;
        for _ in 0..MAX_BUCKET_PAGES {
            let mut request = Request::new(Method::GET, None).query("versions", "").query("prefix", key);
            if let Some((key, version)) = &markers {
                request = request.query("key-marker", key).query("version-id-marker", version);
            }
            let answer = self.connection.send(request).await?;
            if answer.is_not_implemented() {
                return Ok(None);
            }
            let answer = answer.success("")?;
            // A service that does not know the question answers with a plain listing.
            if answer.root_name().as_deref() != Some("ListVersionsResult") {
                return Ok(None);
            }
            let page: xml::ListVersionsResult = answer.xml()?;
            let is_past = page.entries().any(|entry| entry.key.as_str() > key);
            versions.extend(
                page.entries().filter(|entry| entry.key == key).map(|entry| entry.version_id.clone()),
            );
            let next =
                (page.next_key_marker.unwrap_or_default(), page.next_version_id_marker.unwrap_or_default());
            if !page.is_truncated || is_past || markers.as_ref() == Some(&next) || next.0.is_empty() {
                break;
            }
            markers = Some(next);
        }
        Ok(Some(versions))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectMeta>, BucketError> {
        let prefix = self.full(prefix);
        let after = after.map(|after| self.full(after));
        let mut found: Vec<ObjectMeta> = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_BUCKET_PAGES {
            let left = limit.saturating_sub(found.len());
            if left == 0 {
                break;
            }
            let mut request = Request::new(Method::GET, None)
                .query("list-type", "2")
                .query("prefix", &prefix)
                .query("max-keys", &left.min(BUCKET_PAGE_ENTRIES).to_string());
            match (&token, &after) {
                (Some(token), _) => request = request.query("continuation-token", token),
                (None, Some(after)) => request = request.query("start-after", after),
                (None, None) => {}
            }
            let answer = self.connection.send(request).await?.success("")?;
            let page: xml::ListBucketResult = answer.xml()?;
            for object in
                page.contents.into_iter().filter(|object| object.key.starts_with(&prefix)).take(left)
            {
                if let Some(name) = self.name(&object.key) {
                    found.push(ObjectMeta {
                        name: name.to_owned(),
                        size_bytes: object.size,
                        etag: unquote(&object.e_tag).to_owned(),
                        modified_us: xml::time_us(&object.last_modified),
                    });
                }
            }
            let next = page.next_continuation_token.filter(|next| !next.is_empty());
            if !page.is_truncated || next.is_none() || next == token {
                break;
            }
            token = next;
        }
        Ok(found)
    }

    async fn presigned_get(&self, name: &str, expires_in: Duration) -> Result<Option<String>, BucketError> {
        let key = self.key(name)?;
        let path =
            Path::parse(&key).map_err(|_| BucketError::invalid("the object's name fits into no URL"))?;
        let seconds = expires_in.as_secs().clamp(1, MAX_PRESIGNED_SECONDS);
        let url = self.signer.signed_url(Method::GET, &path, Duration::from_secs(seconds)).await;
        url.map(|url| Some(url.into())).map_err(|_| BucketError::invalid("the URL could not be signed"))
    }
}

impl Bucket for S3Bucket {
    fn describe(&self) -> String {
        let S3Location { bucket, prefix, endpoint, .. } = &self.location;
        let slash = if prefix.is_empty() { "" } else { "/" };
        let host = endpoint.host_str().unwrap_or_default();
        let port = endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("s3://{bucket}{slash}{prefix} at {host}{port}")
    }

    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectMeta>, BucketError>> {
        Box::pin(self.head(name))
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        Box::pin(self.read(name, range))
    }

    fn read_some<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        Box::pin(self.fetch(name, range, Extent::Begun))
    }

    fn put<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<ObjectMeta, BucketError>> {
        Box::pin(self.put(name, body))
    }

    fn begin_upload<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(self.begin_upload(name))
    }

    fn put_part<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<String, BucketError>> {
        Box::pin(self.put_part(name, upload_id, number, body))
    }

    fn parts<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<UploadedPart>, BucketError>> {
        Box::pin(self.parts(name, upload_id))
    }

    fn complete_upload<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
        parts: &'a [(u32, String)],
    ) -> BoxFuture<'a, Result<Option<String>, BucketError>> {
        Box::pin(self.complete_upload(name, upload_id, parts))
    }

    fn abort_upload<'a>(
        &'a self,
        name: &'a str,
        upload_id: &'a str,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(self.abort_upload(name, upload_id))
    }

    fn uploads<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<PendingUpload>, BucketError>> {
        Box::pin(self.uploads(prefix))
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(self.delete(name))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<ObjectMeta>, BucketError>> {
        Box::pin(self.list(prefix, after, limit))
    }

    fn presigned_get<'a>(
        &'a self,
        name: &'a str,
        expires_in: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, BucketError>> {
        Box::pin(self.presigned_get(name, expires_in))
    }

    fn clock(&self) -> BoxFuture<'_, Option<BucketClock>> {
        Box::pin(async {
            if self.connection.date_us().is_none() {
                // Whatever the answer is, refusals of a clock that is off among them, it has a date.
                let _ = self.head(CLOCK_NAME).await;
            }
            let now_us = self.connection.date_us()?;
            Some(BucketClock { now_us, is_elsewhere: self.location.is_elsewhere() })
        })
    }
}

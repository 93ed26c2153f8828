//! The shop page, out of this binary.
//!
//! The build gives all that `index.html` loads a name with a hash of its content in it, under `assets/`, and lays a
//! compressed copy of each text beside it (`.br`, `.gz`).

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use flashsale_platform::ApiError;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/page"]
struct Files;

const INDEX: &str = "index.html";
const ASSETS: &str = "assets/";

/// What the page may do: load its own files and talk to its own origin.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; worker-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";
/// A name with a hash in it never means anything else.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Kept, and asked about each time.
const REVALIDATED: &str = "no-cache";

/// `GET /` for shoppers, `GET /ops` for operators, and the files that they load.
pub fn routes() -> Router {
    let index = get(|headers: HeaderMap| async move { file(INDEX, &headers) });
    // The console is the same page, which looks at its address.
    let mut router = Router::new().route("/", index.clone()).route("/ops", index.clone()).route("/ops/", index);
    for name in Files::iter().filter(|name| !name.starts_with(ASSETS) && !is_copy(name) && name != INDEX) {
        let path = format!("/{name}");
        router = router.route(&path, get(|headers: HeaderMap| async move { file(&name, &headers) }));
    }
    let asset =
        |Path(path): Path<String>, headers: HeaderMap| async move { file(&format!("{ASSETS}{path}"), &headers) };
    router.route("/assets/{*path}", get(asset))
}

fn is_copy(name: &str) -> bool {
    ENCODINGS.iter().any(|(_, end)| name.ends_with(end))
}

/// Names of encodings and the ends of the copies in them, the smallest first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(original) = Files::get(name).filter(|_| !is_copy(name)) else {
        return ApiError::not_found("The page has no such file.").into_response();
    };
    let tag = entity_tag(&original);
    let offered = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = offered.flat_map(|tags| tags.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    });
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { body(name, &original, headers) };
    let fields = response.headers_mut();
    let caching = if name.starts_with(ASSETS) { FOR_EVER } else { REVALIDATED };
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    fields.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // Weak: the encodings of a file are one to it.
    if let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) {
        fields.insert(header::ETAG, tag);
    }
    if name.ends_with(".html") {
        fields.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    }
    response
}

fn body(name: &str, original: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let smaller = ENCODINGS.iter().find_map(|(encoding, end)| {
        let copy = accepts(accepted, encoding).then(|| Files::get(&format!("{name}{end}"))).flatten()?;
        Some((*encoding, copy))
    });
    let media_type = match original.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    let media_type = [(header::CONTENT_TYPE, media_type)];
    match smaller {
        Some((encoding, copy)) => (media_type, [(header::CONTENT_ENCODING, encoding)], copy.data).into_response(),
        None => (media_type, original.data.clone()).into_response(),
    }
}

/// Whether `Accept-Encoding` names an encoding without ruling it out: RFC 9110, 12.5.3.
fn accepts(accepted: &str, encoding: &str) -> bool {
    accepted.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts.any(|part| part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0));
        named && !refused
    })
}

/// Half of the SHA-256 of the content.
fn entity_tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    format!("\"{:032x}\"", hash.first_chunk().map_or(0, |half| u128::from_be_bytes(*half)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_taken_when_it_is_not_ruled_out() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", true),
            ("BR;q=0.5", true),
            ("br;q=0", false),
            ("br;q=0.0, gzip", false),
            ("brotli", false),
            ("", false),
        ] {
            assert_eq!(accepts(accepted, "br"), expected, "{accepted}");
        }
    }
}

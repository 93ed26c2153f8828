//! The shop page out of the binary.

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

async fn get(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    let routes = crate::finish(flashsale_api::page_routes());
    let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

/// What the page loads.
async fn assets() -> Vec<String> {
    let (_, _, page) = get("/", &[]).await;
    let page = String::from_utf8(page).unwrap();
    let paths = page.split('"').filter(|text| text.starts_with("/assets/")).map(str::to_owned);
    let assets: Vec<String> = paths.collect();
    assert!(assets.len() >= 2, "a script and a style; if the page was not built, run `make page`: {page}");
    assets
}

#[tokio::test]
async fn nf_12_the_page_is_asked_about_each_time_and_its_parts_never_again() {
    let (status, headers, page) = get("/", &[]).await;
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap()));
    assert_eq!(headers["cache-control"], "no-cache");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let tag = headers["etag"].to_str().unwrap();
    for known in [tag, tag.trim_start_matches("W/"), "*", &format!("\"x\", {tag}")] {
        let (status, headers, body) = get("/", &[("if-none-match", known)]).await;
        assert_eq!((status, body.len(), &headers["etag"]), (StatusCode::NOT_MODIFIED, 0, &tag.parse().unwrap()));
    }
    let (status, ..) = get("/", &[("if-none-match", "\"x\"")]).await;
    assert_eq!(status, StatusCode::OK);
    let text = String::from_utf8(page).unwrap();
    assert!(!text.contains("://"), "it loads nothing from elsewhere: {text}");

    for path in assets().await {
        let (status, headers, body) = get(&path, &[]).await;
        assert_eq!((status, headers.get("content-encoding")), (StatusCode::OK, None), "{path}");
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable", "{path}");
        let media_type = headers["content-type"].to_str().unwrap();
        assert!(["text/javascript", "text/css"].iter().any(|known| media_type.starts_with(known)), "{media_type}");
        for (accepted, encoding) in [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("gzip, br;q=0", "gzip")] {
            let (_, headers, smaller) = get(&path, &[("accept-encoding", accepted)]).await;
            assert_eq!(
                (&headers["content-encoding"], &headers["vary"]),
                (&encoding.parse().unwrap(), &"accept-encoding".parse().unwrap())
            );
            assert!(smaller.len() < body.len(), "{path}: {} of {}", smaller.len(), body.len());
        }
    }
}

#[tokio::test]
async fn pr_9_what_the_page_does_not_have_is_in_the_envelope() {
    let copy = format!("{}.br", assets().await[0]);
    for path in ["/assets/none.js", "/assets/../Cargo.toml", "/assets/%2e%2e/index.html", &copy, "/index.html.gz"] {
        let (status, headers, body) = get(path, &[]).await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status.as_u16(), &body["error"]["code"]), (404, &"NOT_FOUND".into()), "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}: a part that comes later must be found");
    }
}

//! Answers from bytes, and what they say.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, Response, Status, parse_chunk_size};

use crate::recorder::{Outcome, Route, ToldReceipt};

/// A longer head is none of ours.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// A longer body is none of ours.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// One answer in all; chunks may take as much again as what is in them.
pub(super) const ANSWER_BYTES_MAX: usize = HEAD_BYTES_MAX + 2 * BODY_BYTES_MAX;
const HEADERS_MAX: usize = 64;

/// An answer that has arrived whole.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    status: u16,
    /// Whether it says when to come back, and that is not at once.
    pub(super) says_when: bool,
    /// Whether the connection ends with it.
    pub(super) closes: bool,
    body: Cow<'a, [u8]>,
    /// Bytes that it took.
    pub(super) length: usize,
}

/// A body, and the bytes that it took.
type Body<'a> = (Cow<'a, [u8]>, usize);

/// Reads the answer that `input` begins with; nothing while some of it is missing. What cannot be read is an error, in
/// words.
pub(super) fn parse(input: &[u8]) -> Result<Option<Answer<'_>>, &'static str> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = Response::new(&mut headers);
    let start = match head.parse(input) {
        Ok(Status::Complete(start)) => start,
        Ok(Status::Partial) if input.len() > HEAD_BYTES_MAX => return Err("a head without an end"),
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err("an answer that is no HTTP"),
    };
    let status = head.code.ok_or("an answer without a status")?;
    let (mut says_when, mut closes, mut is_chunked) = (false, head.version == Some(0), false);
    // These have no body, and need not say so.
    let mut length = matches!(status, 204 | 304).then_some(0);
    for header in head.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            length = Some(number(value).ok_or("a length that is no number")?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes |= value.eq_ignore_ascii_case(b"close");
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            says_when = number(value).is_some_and(|seconds| seconds > 0);
        }
    }
    let body = if is_chunked { chunked(&input[start..])? } else { sized(&input[start..], length)? };
    Ok(body.map(|(body, taken)| Answer { status, says_when, closes, body, length: start + taken }))
}

fn number(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A body of known length.
fn sized(input: &[u8], length: Option<usize>) -> Result<Option<Body<'_>>, &'static str> {
    let length = length.ok_or("an answer without a length")?;
    if length > BODY_BYTES_MAX {
        return Err("an answer that is too long");
    }
    Ok(input.get(..length).map(|body| (Cow::Borrowed(body), length)))
}

/// A body in chunks.
fn chunked(input: &[u8]) -> Result<Option<Body<'_>>, &'static str> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let size = match parse_chunk_size(&input[at..]) {
            Ok(Status::Complete((start, size))) => {
                at += start;
                usize::try_from(size).unwrap_or(usize::MAX)
            }
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err("a chunk without a size"),
        };
        if size == 0 {
            return Ok(trailers(&input[at..]).map(|taken| (Cow::Owned(body), at + taken)));
        }
        if size > BODY_BYTES_MAX - body.len() {
            return Err("an answer that is too long");
        }
        // With the end of its line.
        let Some(chunk) = input.get(at..at + size + 2) else { return Ok(None) };
        let Some(chunk) = chunk.strip_suffix(b"\r\n") else { return Err("a chunk without an end") };
        body.extend_from_slice(chunk);
        at += size + 2;
    }
}

/// The bytes of the lines behind the last chunk, up to an empty one.
fn trailers(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(&input[at..], b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some(at);
        }
    }
}

/// Where `what` begins in `bytes`.
fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

impl Answer<'_> {
    /// What it says to a request of `route`.
    pub(super) fn outcome(&self, route: Route) -> Outcome {
        match (self.status, route) {
            (200, Route::Purchase) => self.decision(),
            (202, Route::Purchase) => Outcome::Pending,
            (200, _) => Outcome::Found,
            (404, Route::Receipt) => Outcome::NotFound,
            (429, _) => Outcome::RateLimited,
            (503, _) => Outcome::Unavailable,
            (status, _) => Outcome::Unexpected(status),
        }
    }

    fn decision(&self) -> Outcome {
        if self.body.starts_with(br#"{"success":true"#) {
            return Outcome::Purchased;
        }
        match self.text_after(br#""code":""#) {
            Some("ALREADY_PURCHASED") => Outcome::AlreadyPurchased,
            Some("SOLD_OUT") => Outcome::SoldOut,
            Some("SALE_NOT_ACTIVE") => Outcome::NotActive,
            _ => Outcome::Unexpected(self.status),
        }
    }

    /// The receipt that it shows.
    pub(super) fn receipt(&self) -> Option<ToldReceipt> {
        let number = self.text_after(br#""purchaseNo":""#)?.into();
        let at = self.text_after(br#""purchasedAt":""#)?.into();
        Some(ToldReceipt { number, at })
    }

    /// The string behind `name`; reading all of the JSON of every answer would be the load.
    fn text_after(&self, name: &[u8]) -> Option<&str> {
        let rest = &self.body[find(&self.body, name)? + name.len()..];
        std::str::from_utf8(&rest[..find(rest, b"\"")?]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str, route: Route) -> (Outcome, Option<ToldReceipt>) {
        let text = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let answer = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(answer.length, text.len());
        (answer.outcome(route), answer.receipt())
    }

    #[test]
    fn answers_say_what_the_contract_says() {
        let success = r#"{"success":true,"data":{"purchaseNo":"PUR-1","purchasedAt":"2026-11-23T12:00:00.123Z"}}"#;
        let receipt = Some(ToldReceipt { number: "PUR-1".into(), at: "2026-11-23T12:00:00.123Z".into() });
        assert_eq!(told(200, success, Route::Purchase), (Outcome::Purchased, receipt.clone()));
        assert_eq!(told(202, success, Route::Purchase), (Outcome::Pending, receipt.clone()));
        assert_eq!(told(200, success, Route::Receipt), (Outcome::Found, receipt.clone()));
        let refusal = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"No."}},"success":false}}"#);
        for (code, outcome) in [
            ("SOLD_OUT", Outcome::SoldOut),
            ("SALE_NOT_ACTIVE", Outcome::NotActive),
            ("ANOTHER_ONE", Outcome::Unexpected(200)),
        ] {
            assert_eq!(told(200, &refusal(code), Route::Purchase), (outcome, None));
        }
        let twice = success.replace(r#""success":true,"data":"#, r#""error":{"code":"ALREADY_PURCHASED","purchase":"#);
        assert_eq!(told(200, &format!("{twice}}}"), Route::Purchase), (Outcome::AlreadyPurchased, receipt));
        for (status, route, outcome) in [
            (404, Route::Receipt, Outcome::NotFound),
            (404, Route::Purchase, Outcome::Unexpected(404)),
            (429, Route::Status, Outcome::RateLimited),
            (503, Route::Purchase, Outcome::Unavailable),
            (500, Route::Purchase, Outcome::Unexpected(500)),
        ] {
            assert_eq!(told(status, &refusal("X"), route).0, outcome);
        }
    }

    #[test]
    fn an_answer_is_none_until_it_is_whole() {
        let sized = "HTTP/1.1 503 Later\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nA: b\r\n\r\n";
        for (text, closes) in [(sized, true), (chunked, false)] {
            for length in 0..text.len() {
                assert!(parse(&text.as_bytes()[..length]).unwrap().is_none(), "{length} bytes of {text}");
            }
            let more = format!("{text}HTTP/1.1 200 OK\r\n");
            let answer = parse(more.as_bytes()).unwrap().unwrap();
            assert_eq!((&answer.body[..], answer.length), (&b"abc"[..], text.len()));
            assert_eq!((answer.closes, answer.says_when), (closes, closes));
        }
    }

    #[test]
    fn what_is_no_answer_of_ours_is_an_error() {
        let long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(HEAD_BYTES_MAX));
        for text in [
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFF\r\nabc",
            &long,
            &endless,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let none = parse(b"HTTP/1.0 204 None\r\nretry-after: 0\r\n\r\n").unwrap().unwrap();
        assert!(none.closes && !none.says_when && none.body.is_empty());
    }
}

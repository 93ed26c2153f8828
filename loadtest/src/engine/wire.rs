//! Requests as bytes. All that does not change is put together once.

use super::{Request, Target};
use crate::recorder::Route;

/// A request with a gap for the number of the shopper.
struct Parts {
    /// Up to the number.
    before: Vec<u8>,
    /// Behind the head.
    body: Vec<u8>,
}

/// Everything that requests to one target are made of, by the number of the sku.
pub(super) struct Wire {
    purchases: Vec<Parts>,
    receipts: Vec<Parts>,
    statuses: Vec<Vec<u8>>,
    /// The line of an idempotency key, from the end of the line before to its number.
    key: Vec<u8>,
}

impl Wire {
    pub(super) fn new(target: &Target, keep_alive: bool) -> Self {
        let mut shared = format!("host: {}\r\n", target.host);
        for (name, value) in &target.headers {
            shared.push_str(&format!("{name}: {value}\r\n"));
        }
        if !keep_alive {
            shared.push_str("connection: close\r\n");
        }
        let prefix = &target.prefix;
        let purchase = |sku: &String| {
            let body = format!(r#"{{"sku":"{sku}"}}"#);
            let before = format!(
                "POST /api/v1/purchases HTTP/1.1\r\n{shared}content-type: application/json\r\ncontent-length: {}\r\n\
                 x-user-id: {prefix}-",
                body.len()
            );
            Parts { before: before.into_bytes(), body: body.into_bytes() }
        };
        let receipt = |sku: &String| {
            let before = format!("GET /api/v1/purchases?sku={sku} HTTP/1.1\r\n{shared}x-user-id: {prefix}-");
            Parts { before: before.into_bytes(), body: Vec::new() }
        };
        let status = |sku: &String| format!("GET /api/v1/sales?sku={sku} HTTP/1.1\r\n{shared}\r\n").into_bytes();
        Self {
            purchases: target.skus.iter().map(purchase).collect(),
            receipts: target.skus.iter().map(receipt).collect(),
            statuses: target.skus.iter().map(status).collect(),
            key: format!("\r\nidempotency-key: {prefix}-k").into_bytes(),
        }
    }

    /// Appends `request` to `out`.
    pub(super) fn write(&self, request: &Request, out: &mut Vec<u8>) {
        let sku = request.sku as usize;
        let parts = match request.route {
            Route::Status => return out.extend_from_slice(&self.statuses[sku]),
            Route::Purchase => &self.purchases[sku],
            Route::Receipt => &self.receipts[sku],
        };
        out.extend_from_slice(&parts.before);
        decimal(request.shopper, out);
        if request.key != 0 {
            out.extend_from_slice(&self.key);
            decimal(request.key, out);
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&parts.body);
    }
}

/// Appends a number; the machinery of formatting would cost more than the rest of a request.
fn decimal(mut number: u64, out: &mut Vec<u8>) {
    // As many as the largest one has.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(keep_alive: bool, request: &Request) -> String {
        let target = Target {
            servers: Vec::new(),
            host: "shop.example".into(),
            skus: vec!["A".into(), "B-2".into()],
            prefix: "load".into(),
            headers: vec![("x-real-ip".into(), "192.0.2.1".into())],
        };
        let mut out = Vec::new();
        Wire::new(&target, keep_alive).write(request, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_are_as_the_contract_says() {
        let buy = Request { route: Route::Purchase, shopper: 120, key: 7, sku: 1 };
        assert_eq!(
            written(true, &buy),
            "POST /api/v1/purchases HTTP/1.1\r\nhost: shop.example\r\nx-real-ip: 192.0.2.1\r\n\
             content-type: application/json\r\ncontent-length: 13\r\nx-user-id: load-120\r\n\
             idempotency-key: load-k7\r\n\r\n{\"sku\":\"B-2\"}"
        );
        assert!(!written(true, &Request { key: 0, ..buy.clone() }).contains("idempotency-key"));
        let receipt = Request { route: Route::Receipt, shopper: 0, key: 0, sku: 0 };
        assert_eq!(
            written(true, &receipt),
            "GET /api/v1/purchases?sku=A HTTP/1.1\r\nhost: shop.example\r\nx-real-ip: 192.0.2.1\r\n\
             x-user-id: load-0\r\n\r\n"
        );
        let status = Request { route: Route::Status, ..receipt };
        assert_eq!(
            written(false, &status),
            "GET /api/v1/sales?sku=A HTTP/1.1\r\nhost: shop.example\r\nx-real-ip: 192.0.2.1\r\n\
             connection: close\r\n\r\n"
        );
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            decimal(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}

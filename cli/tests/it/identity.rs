//! Who buys and who administers: tokens of shoppers, keys with roles, and that no secret is ever said.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::http::Method;
use flashsale_testkit::{Issuer, jwks, wait_until};
use serde_json::{Value, json};

use crate::{
    http::Answer,
    process::{ADMIN_KEY, Installation, PATIENCE, Service, flashsale},
};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "shop";

/// A token of `issuer` for `user`, as it stands in the header.
fn bearer(issuer: &Issuer, user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": now + 600 });
    format!("Bearer {}", issuer.token(&claims))
}

impl Installation {
    async fn ask(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        self.http.send(method, url, headers, body).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_5_a_shopper_is_who_the_token_says_and_nobody_else() {
    let shop = Installation::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let (first, second) = (Issuer::ed25519("first", 1), Issuer::p256("second"));
    fs::write(&file, jwks(&[&first])).unwrap();
    let settings = [
        ("FLASHSALE_IDENTITY__JWKS_FILE", file.to_str().unwrap()),
        ("FLASHSALE_IDENTITY__ISSUER", ISSUER),
        ("FLASHSALE_IDENTITY__AUDIENCE", AUDIENCE),
        ("FLASHSALE_INGEST__USER_INTERVAL_MS", "0"),
    ];
    let _processor = shop.start(&["processor"]).await;
    let api = shop.start_with(&["api"], &settings).await;
    let edge = shop.start_with(&["ingest"], &settings).await;
    let (_, sale) = shop.sale(&api, "TOKENS", 5, -1_000).await;
    let purchases = format!("{}/api/v1/purchases", edge.url);
    let buy = async |headers: &[(&str, &str)]| {
        shop.ask(Method::POST, &purchases, headers, Some(json!({ "sku": "TOKENS" }))).await
    };
    let receipt = format!("{}/api/v1/purchases?sku=TOKENS", api.url);
    let look_up = async |headers: &[(&str, &str)]| shop.ask(Method::GET, &receipt, headers, None).await;

    let (zoe, mallory) = (bearer(&first, "zoe"), bearer(&first, "mallory"));
    // The header is what a thief would send along.
    let with_token = [("authorization", zoe.as_str()), ("x-user-id", "mallory")];
    let bought = wait_until(PATIENCE, "the edge to know the sale", async || {
        let answer = buy(&with_token).await;
        if [200, 202].contains(&answer.status) { Ok(answer) } else { Err(answer.body) }
    })
    .await;
    let again = buy(&with_token).await;
    assert_eq!(again.code(), "ALREADY_PURCHASED", "{}", again.body);
    assert_eq!(again.body["error"]["purchase"]["purchaseNo"], bought.purchase_no());
    assert_eq!(look_up(&with_token).await.purchase_no(), bought.purchase_no());
    assert_eq!(look_up(&[("authorization", &mallory)]).await.status, 404);

    for answer in [buy(&[("x-user-id", "zoe")]).await, look_up(&[("x-user-id", "zoe")]).await] {
        assert_eq!((answer.status, answer.code()), (401, "UNAUTHORIZED"), "{}", answer.body);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let challenge = format!("{purchases}/challenge?sku=TOKENS");
    assert_eq!(shop.ask(Method::GET, &challenge, &[("x-user-id", "zoe")], None).await.status, 401);
    wait_until(PATIENCE, "the unit in the log", async || !shop.sold_by_log(&sale).is_empty()).await;
    let buyers: Vec<_> = shop.sold_by_log(&sale).iter().map(|unit| unit.user.to_string()).collect();
    assert_eq!((buyers, shop.decided("mallory")), (vec!["zoe".to_owned()], 0));

    fs::write(&file, jwks(&[&second])).unwrap();
    let of_second = bearer(&second, "kim");
    for service in ["api", "ingest"] {
        wait_until(PATIENCE, &format!("the new key in {service}"), async || {
            let headers = [("authorization", of_second.as_str())];
            let answer = if service == "api" { look_up(&headers).await } else { buy(&headers).await };
            answer.status != 401
        })
        .await;
    }
    assert_eq!((look_up(&with_token).await.status, buy(&with_token).await.status), (401, 401));
    let metrics = shop.metrics(&edge).await;
    for result in ["verified", "remembered", "missing", "unknown_key"] {
        let series = format!("flashsale_identity_tokens_total{{result=\"{result}\"}}");
        assert!(counted(&metrics, &series) > 0.0, "{series}");
    }
}

impl Installation {
    async fn metrics(&self, service: &Service) -> String {
        let answer = self.http.get(&format!("{}/metrics", service.url)).await.unwrap();
        answer.body.as_str().unwrap_or_default().to_owned()
    }
}

/// The value of one series; nothing of one that is not there.
fn counted(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

/// What each route for administrators needs. A new route has to be entered here.
const ROUTES: [(&str, &str); 22] = [
    ("DELETE /api/v1/products/{sku}", "admin"),
    ("GET /api/v1/ops/acts", "viewer"),
    ("GET /api/v1/ops/consumers", "viewer"),
    ("GET /api/v1/ops/dlq", "viewer"),
    ("GET /api/v1/ops/dlq/{id}", "viewer"),
    ("GET /api/v1/ops/overview", "viewer"),
    ("GET /api/v1/ops/reconciliations", "viewer"),
    ("GET /api/v1/ops/sales/{sku}/report", "viewer"),
    ("GET /api/v1/ops/topics", "viewer"),
    ("GET /api/v1/ops/topics/{topic}/messages", "viewer"),
    ("GET /api/v1/products", "viewer"),
    ("GET /api/v1/products/{sku}", "viewer"),
    ("POST /api/v1/ops/consumers/{name}/pause", "operator"),
    ("POST /api/v1/ops/consumers/{name}/reset", "operator"),
    ("POST /api/v1/ops/consumers/{name}/resume", "operator"),
    ("POST /api/v1/ops/dlq/discard", "operator"),
    ("POST /api/v1/ops/dlq/redrive", "operator"),
    ("POST /api/v1/ops/reconciliations", "operator"),
    ("POST /api/v1/products", "admin"),
    ("POST /api/v1/products/{sku}/pause", "operator"),
    ("POST /api/v1/products/{sku}/resume", "operator"),
    ("PUT /api/v1/products/{sku}", "admin"),
];
/// From the least to the most.
const ROLES: [&str; 3] = ["viewer", "operator", "admin"];

/// The routes that ask for a key, and the role that the document says they need.
fn documented(document: &Value) -> BTreeMap<String, String> {
    let mut routes = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schemes = operation["security"].as_array().cloned().unwrap_or_default();
            if let Some(roles) = schemes.iter().find_map(|scheme| scheme["adminKey"].as_array()) {
                let role = roles.first().and_then(Value::as_str).unwrap_or("no role");
                routes.insert(format!("{} {path}", method.to_uppercase()), role.to_owned());
            }
        }
    }
    routes
}

/// A new key: the key, and its block.
fn new_key(name: &str, role: &str, more: &[&str]) -> (String, String) {
    let arguments = [["key", "new", "--json", "--name", name, "--role", role].as_slice(), more].concat();
    let output = flashsale().args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["block"].as_str().unwrap().to_owned())
}

/// A request to a documented route that changes nothing, also when it is allowed: what it names does not exist, and
/// what it says is not valid.
async fn knock(shop: &Installation, api: &Service, route: &str, key: Option<&str>) -> Answer {
    let (method, path) = route.split_once(' ').unwrap();
    let named = ["{sku}", "{name}", "{topic}", "{id}"];
    let path = named.iter().fold(path.to_owned(), |path, name| path.replace(*name, "none"));
    let method: Method = method.parse().unwrap();
    let body = [Method::POST, Method::PUT].contains(&method).then(|| json!({ "colour": "red" }));
    let headers: Vec<_> = key.iter().map(|key| ("x-admin-key", *key)).collect();
    shop.ask(method, &format!("{}{path}", api.url), &headers, body).await
}

async fn each_role_may_do_what_it_may(shop: &Installation, api: &Service, keys: &BTreeMap<&str, String>) {
    for (route, needed) in ROUTES {
        let rank = |role: &str| ROLES.iter().position(|known| *known == role).unwrap();
        for key in [None, Some("fsk_nobody-has-this-key"), Some(""), Some(keys["expired"].as_str())] {
            let answer = knock(shop, api, route, key).await;
            assert_eq!((answer.status, answer.code()), (401, "UNAUTHORIZED"), "{route} {key:?}: {}", answer.body);
            assert_eq!(answer.body["error"]["message"], "This needs a valid X-Admin-Key.", "{route}");
        }
        for role in ROLES {
            let answer = knock(shop, api, route, Some(&keys[role])).await;
            let may = rank(role) >= rank(needed);
            assert_eq!(![401, 403].contains(&answer.status), may, "{role} {route}: {} {}", answer.status, answer.body);
            assert!(answer.status < 500, "{role} {route}: {} {}", answer.status, answer.body);
            if !may {
                assert_eq!(answer.code(), "FORBIDDEN", "{role} {route}");
                let message = answer.body["error"]["message"].as_str().unwrap();
                assert!(message.contains(&format!("the role {needed}")), "{role} {route}: {message}");
            }
        }
        let shared = knock(shop, api, route, Some(ADMIN_KEY)).await.status;
        assert!(![401, 403].contains(&shared), "{route}: {shared}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_6_each_role_may_do_what_it_may_and_acts_under_its_name() {
    let shop = Installation::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, said) = (folder.path().join("keys.toml"), folder.path().join("said"));
    let mut keys = BTreeMap::new();
    let mut blocks = String::new();
    for (role, name) in [("viewer", "vera"), ("operator", "kim"), ("admin", "root"), ("expired", "old")] {
        let (key, block) = new_key(name, if role == "expired" { "admin" } else { role }, &[]);
        keys.insert(role, key);
        blocks += &block;
    }
    // The last one.
    blocks += "expires = 2020-01-01T00:00:00Z\n";
    fs::write(&file, &blocks).unwrap();
    let documented = documented(&shop.printed(&["openapi"]));
    let expected = ROUTES.map(|(route, role)| (route.to_owned(), role.to_owned()));
    assert_eq!(documented, BTreeMap::from(expected));

    let _processor = shop.start(&["processor"]).await;
    let settings =
        [("FLASHSALE_ADMIN_KEYS_FILE", file.to_str().unwrap()), ("RUST_LOG", "debug,rdkafka=off,librdkafka=off")];
    let api = shop.launch_into(&said, &["api"], &settings);
    shop.until_ready(&api).await;
    each_role_may_do_what_it_may(&shop, &api, &keys).await;
    acts_have_the_name_of_the_key(&shop, &api, &keys).await;
    let newest = keys_are_replaced_by_writing_the_file(&shop, &api, &file, (&keys["operator"], &blocks)).await;

    let metrics = shop.metrics(&api).await;
    for reason in ["missing", "unknown", "expired", "role"] {
        let series = format!("flashsale_api_admin_refused_total{{reason=\"{reason}\"}}");
        assert!(counted(&metrics, &series) > 0.0, "{series}");
    }
    let said = fs::read_to_string(&said).unwrap();
    assert!(said.contains("a try to administer was refused") && said.contains("an operator acted"), "{said}");
    let secrets = keys.values().map(String::as_str).chain([newest.as_str(), ADMIN_KEY, "fsk_nobody-has-this-key"]);
    for secret in secrets {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

async fn acts_have_the_name_of_the_key(shop: &Installation, api: &Service, keys: &BTreeMap<&str, String>) {
    let products = format!("{}/api/v1/products", api.url);
    let product = json!({
        "sku": "ROLES", "productName": "A phone", "initialStock": 5,
        "startTime": "2020-01-01T00:00:00Z", "endTime": "2099-01-01T00:00:00Z",
    });
    let (root, kim) = (keys["admin"].as_str(), keys["operator"].as_str());
    let named = |key| [("x-admin-key", key), ("x-operator", "mallory")];
    let created = shop.ask(Method::POST, &products, &named(root), Some(product)).await;
    assert_eq!(created.status, 201, "{}", created.body);
    for (order, key) in [("pause", kim), ("resume", ADMIN_KEY)] {
        let done = shop.ask(Method::POST, &format!("{products}/ROLES/{order}"), &named(key), None).await;
        assert_eq!(done.status, 200, "{order}: {}", done.body);
    }
    let changed = shop.ask(Method::PUT, &format!("{products}/ROLES"), &named(kim), Some(json!({}))).await;
    assert_eq!(changed.status, 403);
    let acts = shop.ask(Method::GET, &format!("{}/api/v1/ops/acts", api.url), &named(&keys["viewer"]), None).await;
    let acts = acts.body["data"]["acts"].as_array().unwrap().clone();
    let who: Vec<_> = acts.iter().map(|act| (act["by"].as_str().unwrap(), act["action"].as_str().unwrap())).collect();
    // Who uses the shared key is still who they say.
    assert_eq!(who, [("mallory", "SALE_RESUME"), ("kim", "SALE_PAUSE"), ("root", "SALE_CREATE")]);
}

/// Returns the key that replaced the old one.
async fn keys_are_replaced_by_writing_the_file(
    shop: &Installation,
    api: &Service,
    file: &Path,
    (old, blocks): (&str, &str),
) -> String {
    let consumers = "GET /api/v1/ops/consumers";
    let status = async |key: &str| knock(shop, api, consumers, Some(key)).await.status;
    let (new, block) = new_key("kim", "operator", &["--expires", "+1d"]);
    fs::write(file, format!("{blocks}\n{block}")).unwrap();
    wait_until(PATIENCE, "the new key to be good", async || status(&new).await == 200).await;
    assert_eq!(status(old).await, 200, "both are good meanwhile");
    fs::write(file, &block).unwrap();
    wait_until(PATIENCE, "the old key to be refused", async || status(old).await == 401).await;
    assert_eq!(status(&new).await, 200);
    fs::write(file, format!("{block}\nkey = \"{new}\"")).unwrap();
    let refused = async || counted(&shop.metrics(api).await, "flashsale_file_refused{file=\"admin_keys\"}");
    wait_until(PATIENCE, "the wrong file to be noticed", async || refused().await > 0.0).await;
    assert_eq!(status(&new).await, 200, "what was read before stays in force");
    new
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[test]
fn a_key_is_made_once_its_block_is_appended_and_the_file_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let check = |more: &[&str]| run(flashsale().args(["key", "check"]).arg(&file).args(more));
    let mut written = String::new();
    for (name, role) in [("kim", "operator"), ("a \"quoted\" name", "viewer")] {
        let (code, block, told) = run(flashsale().args(["key", "new", "--name", name, "--role", role]));
        let key = told.lines().find(|line| line.starts_with("fsk_")).unwrap();
        assert!(code == 0 && key.len() == 68 && !block.contains(key), "{told}{block}");
        written += &block;
        fs::write(&file, &written).unwrap();
    }
    let (code, shown, _) = check(&[]);
    assert!(code == 0 && shown.contains("kim") && shown.contains("never"), "{shown}");
    let (_, shown, _) = check(&["--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let second = json!({ "name": "a \"quoted\" name", "role": "viewer", "expires": null, "expired": false });
    assert_eq!(shown["keys"][1], second);

    fs::write(&file, format!("{written}expires = 2020-01-01T00:00:00Z\n")).unwrap();
    let (code, shown, _) = check(&[]);
    assert!(code == 1 && shown.contains("expired") && shown.contains("1 key of no use"), "{code} {shown}");
    fs::write(&file, written.replace("operator", "boss")).unwrap();
    let (code, _, error) = check(&[]);
    assert!(code == 64 && error.contains("keys.toml") && error.contains("key 1 (kim): `role` must be"), "{error}");
    let refused = |more: &[&str]| {
        let (code, told, error) = run(flashsale().args(["key", "new", "--name", "kim"]).args(more));
        assert!(code > 0 && told.is_empty() && !error.contains("fsk_"), "{more:?}: {told}{error}");
        error
    };
    assert!(refused(&["--role", "admin", "--expires", "now"]).contains("--expires is not in the future"));
    assert!(refused(&["--role", "boss"]).contains("viewer, operator, admin"));
}

/// A process that is killed when dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Set wherever a secret can be set, so that one search finds each.
const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_said_when_servers_are_away_and_settings_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (said, keys) = (folder.path().join("said"), folder.path().join("keys.toml"));
    let environment = [
        ("FLASHSALE_BROKERS", "127.0.0.1:1".to_owned()),
        ("FLASHSALE_REDIS_URL", format!("redis://bob:{SECRET}@127.0.0.1:1/0")),
        ("FLASHSALE_DATABASE_URL", format!("postgres://bob:{SECRET}@127.0.0.1:1/shop")),
        ("FLASHSALE_ADMIN_KEY", SECRET.to_owned()),
        ("FLASHSALE_CHALLENGE__SECRET", SECRET.to_owned()),
        ("FLASHSALE_HTTP_ADDRESS", "127.0.0.1:0".to_owned()),
        ("RUST_LOG", "debug".to_owned()),
    ];
    for (part, awaited) in [("ingest", "waiting for Redis"), ("sink postgres", "waiting for Postgres")] {
        let into = File::create(&said).unwrap();
        let mut command = flashsale();
        command.args(part.split(' ')).envs(environment.clone()).stdout(into.try_clone().unwrap()).stderr(into);
        let started = Started(command.spawn().unwrap());
        let read = || fs::read_to_string(&said).unwrap();
        wait_until(PATIENCE, awaited, async || if read().contains(awaited) { Ok(()) } else { Err(read()) }).await;
        drop(started);
        assert!(!read().contains(SECRET), "{}", read());
    }

    fs::write(&keys, format!("[[key]]\nname = \"kim\"\nrole = \"admin\"\nkey = \"{SECRET}\"\n{SECRET} = 1")).unwrap();
    let file = keys.to_str().unwrap();
    let short = format!("admin_key={}", &SECRET[..7]);
    for (arguments, code) in [
        (vec!["config", "print", "--json"], 0),
        (vec!["api", "--set", &format!("admin_keys_file={file}")], 64),
        (vec!["key", "check", file], 64),
        (vec!["config", "check", "--set", &short], 64),
        (vec!["sale", "list", "--url", "http://127.0.0.1:1"], 69),
        (vec!["sale", "list", "--url", "http://127.0.0.1:1", "--admin-key", SECRET], 69),
        (vec!["sale", "--help"], 0),
        (vec!["top", "--help"], 0),
    ] {
        let (ended, told, error) = run(flashsale().args(&arguments).envs(environment.clone()));
        assert_eq!(ended, code, "{arguments:?}: {told}{error}");
        assert!(!told.contains(&SECRET[..7]) && !error.contains(&SECRET[..7]), "{arguments:?}: {told}{error}");
    }
}

//! A running nginx with the files of deploy/nginx, and clients of it.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::http::Method;
use flashsale_testkit::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    http::{Answer, Http},
    process::{PATIENCE, free_port},
};

/// Where the services are: URLs, or host and port.
#[derive(Clone, Copy)]
pub(super) struct Upstreams<'a> {
    pub(super) ingest: [&'a str; 2],
    pub(super) api: &'a str,
    pub(super) streams: &'a str,
}

/// The head of an answer in lower case, and its body.
pub(super) type Refusal = (String, Value);

/// The nginx of this machine, else the one that `deploy/local/setup.sh --tests` fetched.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fetched = flashsale_localstack::Config::new("").cache_dir.join("bin");
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), fetched]);
    let found = folders.map(|folder| folder.join("nginx")).find(|program| program.is_file());
    found.expect("there is no nginx: run deploy/local/setup.sh --tests")
}

/// Changes a file as its user would; what is to be changed must be there.
fn edit(file: &Path, changes: &[(&str, &str)]) {
    let mut text = fs::read_to_string(file).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{} has no `{from}`", file.display());
        text = text.replace(from, to);
    }
    fs::write(file, text).unwrap();
}

/// The files, made fit for ports and folders of their own.
pub(super) struct Rendered {
    folder: TempDir,
    port: u16,
    tls_port: u16,
    status_port: u16,
}

/// Copies deploy/nginx; 127.0.0.1 is a trusted proxy.
pub(super) fn render(upstreams: &Upstreams<'_>) -> Rendered {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx");
    // As root its workers run as somebody else, who must get in.
    let everybody = Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().prefix("flashsale-nginx-").permissions(everybody).tempdir().unwrap();
    let pieces = folder.path().join("conf.d");
    fs::create_dir(&pieces).unwrap();
    fs::copy(source.join("nginx.conf"), folder.path().join("nginx.conf")).unwrap();
    for piece in fs::read_dir(source.join("conf.d")).unwrap() {
        let piece = piece.unwrap();
        fs::copy(piece.path(), pieces.join(piece.file_name())).unwrap();
    }
    let rendered = Rendered { port: free_port(), tls_port: free_port(), status_port: free_port(), folder };

    let bare = |url: &str| url.trim_start_matches("http://").to_owned();
    let [one, other] = upstreams.ingest.map(bare);
    let (api, streams) = (bare(upstreams.api), bare(upstreams.streams));
    let services: [(&str, &str); 4] =
        [("127.0.0.1:8081", &one), ("127.0.0.1:8082", &other), ("127.0.0.1:8083", &api), ("127.0.0.1:8084", &streams)];
    edit(&pieces.join("upstreams.conf"), &services);
    let listen = format!("listen 127.0.0.1:{} ", rendered.port);
    edit(&pieces.join("server.conf"), &[("listen 80 ", &listen)]);
    let status = format!("127.0.0.1:{}", rendered.status_port);
    edit(&pieces.join("status.conf"), &[("127.0.0.1:9145", &status)]);
    let trusted = [("#set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 127.0.0.1;")];
    edit(&pieces.join("trusted-proxies.conf"), &trusted);

    let own = rendered.folder.path().to_str().unwrap();
    let (log, cache) = (format!("{own}/access.log edge;"), format!("{own}/status "));
    let paths: [(&str, &str); 2] =
        [("/var/log/nginx/access.log edge buffer=64k flush=1s;", &log), ("/var/cache/nginx/status ", &cache)];
    edit(&pieces.join("paths.conf"), &paths);
    // Where this build puts them nobody but root may write.
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let scratch: Vec<String> = kinds.map(|kind| format!("{kind}_temp_path {own}/{kind};\n")).into();
    let mut file = File::options().append(true).open(pieces.join("paths.conf")).unwrap();
    file.write_all(scratch.concat().as_bytes()).unwrap();
    rendered
}

impl Rendered {
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn nginx(&self) -> Command {
        let mut command = Command::new(program());
        let folder = self.folder();
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr", "-g"]);
        command.arg(format!("daemon off; pid {}/nginx.pid;", folder.display())).stdin(Stdio::null());
        command
    }

    /// Has nginx read everything.
    pub(super) fn check(&self) {
        let checked = self.nginx().arg("-t").output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && !said.contains("[warn]"), "{said}");
    }

    /// Puts the server with TLS in the place of the plain one, with a certificate of its own.
    pub(super) fn end_tls(&self) {
        let name = |name: &str| self.folder().join(name).to_str().unwrap().to_owned();
        let (certificate, key) = (name("certificate.pem"), name("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=test", "-keyout", &key, "-out", &certificate])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let pieces = self.folder().join("conf.d");
        fs::copy(pieces.join("server-tls.conf"), pieces.join("server.conf")).unwrap();
        let [plain, tls] = [self.port, self.tls_port].map(|port| format!("listen 127.0.0.1:{port} "));
        let changes: [(&str, &str); 4] = [
            ("listen 80 ", &plain),
            ("listen 443 ", &tls),
            ("/etc/nginx/tls/fullchain.pem", &certificate),
            ("/etc/nginx/tls/privkey.pem", &key),
        ];
        edit(&pieces.join("server.conf"), &changes);
    }

    /// Starts it and waits until it answers.
    pub(super) async fn run(self) -> Front {
        let log = self.folder().join("error.log");
        let child = self.nginx().stderr(File::create(&log).unwrap()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{}", self.port);
        let live = format!("http://127.0.0.1:{}/live", self.status_port);
        let front = Front { child, url, http: Http::new(), addresses: AtomicUsize::default(), files: self };
        wait_until(PATIENCE, "nginx to run", async || {
            let runs = front.http.get(&live).await.is_ok_and(|answer| answer.status == 200);
            if runs { Ok(()) } else { Err(fs::read_to_string(&log)) }
        })
        .await;
        front
    }
}

/// A running nginx; stopped when dropped.
pub(super) struct Front {
    child: Child,
    pub(super) url: String,
    http: Http,
    /// Addresses given to clients so far.
    addresses: AtomicUsize,
    files: Rendered,
}

impl Drop for Front {
    fn drop(&mut self) {
        // Its workers would outlive a master that is killed.
        drop(Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status());
        drop(self.child.wait());
    }
}

impl Front {
    pub(super) async fn start(upstreams: &Upstreams<'_>) -> Self {
        render(upstreams).run().await
    }

    /// A request of a client that nobody else is.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let number = self.addresses.fetch_add(1, Ordering::Relaxed);
        let address = format!("198.18.{}.{}", number / 250 % 250, number % 250 + 1);
        let (http, url) = (self.http.clone(), format!("{}{path}", self.url));
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.push(("x-forwarded-for".to_owned(), address));
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            http.send(method, &url, &headers, body).await.unwrap()
        }
    }

    pub(super) fn get(&self, path: &str, headers: &[(&str, &str)]) -> impl Future<Output = Answer> + Send + use<> {
        self.send(Method::GET, path, headers, None)
    }

    /// An attempt to buy.
    pub(super) fn buy(&self, sku: &str, headers: &[(&str, &str)]) -> impl Future<Output = Answer> + Send + use<> {
        self.send(Method::POST, "/api/v1/purchases", headers, Some(json!({ "sku": sku })))
    }

    /// What the access log has of requests that begin like this.
    fn logged(&self, request: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.files.folder().join("access.log")).unwrap();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["request"].as_str().is_some_and(|made| made.starts_with(request))).collect()
    }

    /// Once the log has `times` requests that begin like this, how many of them a service was asked for.
    pub(super) async fn asked(&self, request: &str, times: usize) -> usize {
        let lines = wait_until(PATIENCE, "the access log", async || {
            let lines = self.logged(request);
            if lines.len() == times { Ok(lines) } else { Err(lines.len()) }
        });
        lines.await.iter().filter(|line| line["upstream"] != "").count()
    }

    /// Which service was asked for the last request that begins like this.
    pub(super) async fn asked_whom(&self, request: &str) -> String {
        wait_until(PATIENCE, "the access log", async || {
            self.logged(request).last().map(|line| line["upstream"].as_str().unwrap().to_owned())
        })
        .await
    }

    /// A connection from an address of its own: all of 127.0.0.0/8 is this machine.
    async fn connect(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        socket.connect(SocketAddr::from(([127, 0, 0, 1], self.files.port))).await.unwrap()
    }

    /// Sends many requests in one go, each with what `more` adds to its head, and returns all answers.
    pub(super) async fn pipelined(
        &self,
        from: [u8; 4],
        path: &str,
        times: usize,
        more: impl Fn(usize) -> String,
    ) -> String {
        let requests = (1..=times).map(|n| {
            let end = if n == times { "Connection: close\r\n" } else { "" };
            format!("GET {path} HTTP/1.1\r\nHost: test\r\n{}{end}\r\n", more(n))
        });
        let mut stream = self.connect(from).await;
        stream.write_all(requests.collect::<String>().as_bytes()).await.unwrap();
        to_the_end(&mut stream).await
    }

    /// A purchase that keeps its body to itself: the connection once nginx has given it a place.
    pub(super) async fn attempt_without_a_body(&self, from: [u8; 4]) -> Result<TcpStream, Refusal> {
        let head = "POST /api/v1/purchases HTTP/1.1\r\nHost: test\r\nConnection: close\r\n";
        let mut stream = self.connect(from).await;
        stream.write_all(format!("{head}Content-Length: 9\r\nExpect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
        let mut said = String::new();
        read_until(&mut stream, &mut said, "\r\n\r\n").await;
        if said.starts_with("HTTP/1.1 100") {
            return Ok(stream);
        }
        // The end of the connection waits for the body, the end of the answer does not.
        read_until(&mut stream, &mut said, "}}").await;
        Err(refusal(&said))
    }

    /// A live stream, with a forged address.
    pub(super) async fn stream(&self, from: [u8; 4], sku: &str, forged: u8) -> Result<Stream, Refusal> {
        let path = format!("/api/v1/sales/events?sku={sku}");
        let forged = format!("X-Forwarded-For: 203.0.113.{forged}");
        let mut stream = self.connect(from).await;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: test\r\n{forged}\r\n\r\n").as_bytes()).await.unwrap();
        let mut said = String::new();
        read_until(&mut stream, &mut said, "\r\n\r\n").await;
        if said.starts_with("HTTP/1.1 200") {
            return Ok(Stream { stream, said });
        }
        said.push_str(&to_the_end(&mut stream).await);
        Err(refusal(&said))
    }

    /// A purchase from that address; the answer as it came.
    pub(super) async fn buy_from(&self, from: [u8; 4], sku: &str, user: &str) -> String {
        let body = json!({ "sku": sku }).to_string();
        let head = format!("POST /api/v1/purchases HTTP/1.0\r\nHost: test\r\nX-User-Id: {user}\r\n");
        let length = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut stream = self.connect(from).await;
        stream.write_all(format!("{head}{length}{body}").as_bytes()).await.unwrap();
        to_the_end(&mut stream).await
    }

    /// What comes back over TLS of one version.
    pub(super) fn over_tls(&self, version: &str, path: &str) -> String {
        let address = format!("127.0.0.1:{}", self.files.tls_port);
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", version, "-connect", &address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        client.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
        String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap()
    }
}

/// A live stream that is open.
#[derive(Debug)]
pub(super) struct Stream {
    stream: TcpStream,
    said: String,
}

impl Stream {
    /// Waits until it has said this, in any case of letters, since it began.
    pub(super) async fn until(&mut self, wanted: &str) {
        read_until(&mut self.stream, &mut self.said, wanted).await;
    }
}

async fn read_until(stream: &mut TcpStream, said: &mut String, wanted: &str) {
    while !said.to_lowercase().contains(wanted) {
        let mut bytes = [0; 4096];
        let reading = timeout(PATIENCE, stream.read(&mut bytes)).await;
        let read = reading.unwrap_or_else(|_| panic!("no `{wanted}` in time: {said}")).unwrap();
        assert!(read > 0, "it ended before `{wanted}`: {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}

async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the end in time").unwrap();
    String::from_utf8(bytes).unwrap()
}

fn refusal(answer: &str) -> Refusal {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    // Another answer may follow.
    let body = body.split("HTTP/1.1").next().unwrap_or_default();
    (head.to_lowercase(), serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

/// The answers with 429 among many.
pub(super) fn refusals(answers: &str) -> Vec<Refusal> {
    answers.match_indices("HTTP/1.1 429").map(|(at, _)| refusal(&answers[at..])).collect()
}

//! Apache Kafka in KRaft mode: one JVM that is broker and controller.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Config, Error, Kind, Stage, Tls, ports, program,
    server::{self, Spec},
};

/// The version in `deploy/local/kafka/pom.xml`.
const VERSION: &str = "4.3.1";
/// A base64 UUID, as Kafka wants it; all local stacks may share one because they never meet.
const CLUSTER_ID: &str = "Zmxhc2hzYWxlLWxvY2FsIQ";

/// What does not depend on the machine.
const PROPERTIES: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
# A topic nobody created is a mistake.
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# The first member of a group need not wait for more; tests want short sessions.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# After a kill -9 the controller keeps the broker out until the session of its dead self has passed.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Small heap, many small logs.
log.cleaner.dedupe.buffer.size=8388608
log.index.size.max.bytes=1048576
num.network.threads=2
num.io.threads=4
";

pub(crate) fn spec(config: &Config, tell: &dyn Fn(Stage)) -> Result<Spec, Error> {
    let java = java()?;
    let jars = config.cache_dir.join(format!("kafka-{VERSION}"));
    if !jars.is_dir() {
        return Err(Error::Missing { what: format!("Kafka ({})", jars.display()) });
    }
    let port = ports::one("kafka", config.ports.kafka)?;
    let controller_port = ports::one("the kafka controller", config.ports.kafka_controller)?;
    let home = config.home(Kind::Kafka);
    fs::create_dir_all(&home).map_err(Error::io(format!("make {}", home.display())))?;
    let data = home.join("data");
    if !data.join("meta.properties").exists() {
        tell(Stage::Preparing);
        format(&java, &jars, &home, &data, config.tls.as_ref())?;
    }
    let (url, own_port, listeners) = match &config.tls {
        None => {
            let advertised = config.kafka_advertised.unwrap_or(port);
            (format!("127.0.0.1:{port}"), port, listeners(port, controller_port, advertised))
        }
        Some(tls) => {
            let own_port = ports::besides("kafka, for itself", [port, controller_port])?;
            let listeners = encrypted_listeners(tls, &home, port, own_port, controller_port)?;
            (format!("{}:{port}", tls.host), own_port, listeners)
        }
    };
    let properties = write_properties(&home, &data, &listeners)?;

    let mut arguments = jvm(&jars, config.durable);
    arguments.extend(["kafka.Kafka".into(), properties.into()]);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, own_port));
    Ok(Spec {
        kind: Kind::Kafka,
        url,
        program: java,
        arguments,
        home,
        user: None,
        orphan_signal: server::orphan_signal(Kind::Kafka),
        stop_signal: Signal::SIGTERM,
        probe: Box::new(move || match brokers(address) {
            Ok(0) => Err("its metadata names no broker yet".into()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("metadata: {error}")),
        }),
        passing: &[],
    })
}

fn java() -> Result<PathBuf, Error> {
    std::env::var_os("JAVA_HOME")
        .map(|home| Path::new(&home).join("bin/java"))
        .filter(|java| java.is_file())
        .or_else(|| program::find("java"))
        .ok_or_else(|| Error::Missing { what: "java".into() })
}

fn jvm(jars: &Path, durable: bool) -> Vec<OsString> {
    let mut class_path = OsString::from(jars);
    class_path.push("/*");
    let mut arguments: Vec<OsString> = [
        "-Xms128m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData", // no files in /tmp
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "-Dorg.slf4j.simpleLogger.showShortLogName=true",
    ]
    .map(Into::into)
    .into();
    if !durable {
        // The optimising compiler pays only after the minute a test run lasts.
        arguments.push("-XX:TieredStopAtLevel=1".into());
    }
    arguments.extend(["-cp".into(), class_path]);
    arguments
}

/// Formats in a directory aside and renames it: a format that was killed half-way leaves nothing behind.
fn format(java: &Path, jars: &Path, home: &Path, data: &Path, tls: Option<&Tls>) -> Result<(), Error> {
    let partial = home.join("data.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(Error::io(format!("remove {}", partial.display())))?;
    }
    // The ports are not kept by a format; these are never listened on.
    let properties = write_properties(home, &partial, &listeners(1, 2, 1))?;
    let mut command = program::tied(java, None, server::orphan_signal(Kind::Kafka))?;
    command
        .args(jvm(jars, false))
        .args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"])
        .arg(properties)
        .current_dir(home);
    if let Some(Tls { username, password, .. }) = tls {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            command.arg("--add-scram").arg(format!("{mechanism}=[name={username},password={password}]"));
        }
    }
    program::prepare(Kind::Kafka, Path::new("kafka.tools.StorageTool"), command)?;
    fs::rename(&partial, data).map_err(Error::io(format!("make {}", data.display())))
}

fn write_properties(home: &Path, data: &Path, listeners: &str) -> Result<PathBuf, Error> {
    let path = home.join("server.properties");
    let text = format!("# Written at each start.\n{PROPERTIES}log.dirs={}\n{listeners}", data.display());
    fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(path)
}

/// A static quorum: the controller's port may change between runs, and nothing on disk holds it.
fn listeners(port: u16, controller_port: u16, advertised: u16) -> String {
    format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n"
    )
}

/// Clients come by TLS with a login; the broker itself, and our probe, by a port of their own.
fn encrypted_listeners(
    tls: &Tls,
    home: &Path,
    port: u16,
    own_port: u16,
    controller_port: u16,
) -> Result<String, Error> {
    let read = |file: &Path| fs::read_to_string(file).map_err(Error::io(format!("read {}", file.display())));
    let key_store = home.join("keystore.pem");
    fs::write(&key_store, read(&tls.key_file)? + &read(&tls.certificate_file)?)
        .map_err(Error::io(format!("write {}", key_store.display())))?;
    let (key_store, trust_store) = (key_store.display(), tls.ca_file.display());
    let client_auth = if tls.kafka_client_certificates { "required" } else { "none" };
    let Tls { host, username, password, .. } = tls;
    let mut text = format!(
        "listeners=SECURE://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{own_port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=SECURE://{host}:{port},PLAINTEXT://127.0.0.1:{own_port}\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n"
    );
    let login = "org.apache.kafka.common.security";
    for property in [
        "ssl.keystore.type=PEM".to_owned(),
        format!("ssl.keystore.location={key_store}"),
        "ssl.truststore.type=PEM".to_owned(),
        format!("ssl.truststore.location={trust_store}"),
        format!("ssl.client.auth={client_auth}"),
        "sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN".to_owned(),
        format!("scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;"),
        format!("scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;"),
        format!("plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_{username}=\"{password}\";"),
    ] {
        text += &format!("listener.name.secure.{property}\n");
    }
    Ok(text)
}

/// How many brokers a metadata request (version 4) finds. A broker that is up but still fenced is not among them.
fn brokers(address: SocketAddr) -> io::Result<i32> {
    const ANSWER_MAX: Duration = Duration::from_secs(2);
    const REQUEST: [u8; 19] = [
        0, 0, 0, 15, // length
        0, 3, 0, 4, // api key: metadata; version
        0, 0, 0, 7, // correlation id
        0, 0, // client id: empty
        0, 0, 0, 0, // topics: none
        0, // allow auto topic creation: no
    ];
    // The length, the correlation id, the throttle time, then the number of brokers.
    let mut answer = [0; 16];
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(&REQUEST)?;
    stream.read_exact(&mut answer)?;
    Ok(i32::from_be_bytes([answer[12], answer[13], answer[14], answer[15]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_setup_fetches() {
        let pom = include_str!("../../../deploy/local/kafka/pom.xml");
        assert!(pom.contains(&format!("<artifactId>kafka_2.13</artifactId>\n      <version>{VERSION}</version>")));
    }
}

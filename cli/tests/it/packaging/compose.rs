//! docker-compose.yml: it resolves, and what it says of its services fits together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Variables, entries, items, path, read, texts, variables, yaml};

const FILE: &str = "docker-compose.yml";
const EXAMPLE: &str = ".env.compose.example";
/// What the example file says to docker itself.
const OF_DOCKER: [&str; 1] = ["COMPOSE_PROFILES"];

/// The services by name.
pub(super) fn services() -> BTreeMap<String, Value> {
    let file = yaml(FILE).remove(0);
    entries(&file["services"]).map(|(name, service)| (name.clone(), service.clone())).collect()
}

/// Those that run our binary.
pub(super) fn ours() -> BTreeMap<String, Value> {
    services().into_iter().filter(|(_, service)| service["image"].as_str().unwrap().contains("flashsale")).collect()
}

/// What an operator puts into the file of the example.
pub(super) fn filled_in() -> Variables {
    let example = variables(&read(EXAMPLE)).into_iter();
    example.map(|(name, value)| (name, if value.is_empty() { super::SECRET.to_owned() } else { value })).collect()
}

/// The environment of a service, variables filled in.
pub(super) fn environment(service: &Value) -> Variables {
    let given = filled_in();
    entries(&service["environment"])
        .map(|(name, value)| (name.clone(), interpolated(value.as_str().unwrap(), &given)))
        .collect()
}

/// The command of a service, variables filled in.
pub(super) fn arguments(service: &Value) -> Vec<String> {
    let given = filled_in();
    texts(&service["command"]).into_iter().map(|argument| interpolated(argument, &given)).collect()
}

/// One `${…}`: its name, and what follows it.
fn references(text: &str) -> Vec<(&str, &str)> {
    let inside = text.split("${").skip(1).map(|rest| rest.split_once('}').expect("a closed brace").0);
    inside.map(|inside| inside.split_at(inside.find(':').unwrap_or(inside.len()))).collect()
}

fn interpolated(text: &str, given: &Variables) -> String {
    references(text).into_iter().fold(text.to_owned(), |text, (name, rule)| {
        let value = match (given.get(name), rule.strip_prefix(":-")) {
            (Some(value), _) => value.as_str(),
            (None, Some(default)) => default,
            (None, None) => panic!("{EXAMPLE} has no {name}"),
        };
        text.replace(&format!("${{{name}{rule}}}"), value)
    })
}

fn profiles(service: &Value) -> BTreeSet<&str> {
    texts(&service["profiles"]).into_iter().collect()
}

/// The networks of a service.
fn networks(service: &Value) -> BTreeSet<&str> {
    texts(&service["networks"]).into_iter().collect()
}

#[test]
fn every_image_of_the_compose_file_is_pinned() {
    for (name, service) in services() {
        let image = interpolated(service["image"].as_str().unwrap(), &filled_in());
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no version"));
        let is_version = tag.trim_start_matches('v').split('-').next().unwrap().split('.').count() >= 2;
        assert!(is_version || image == "flashsale:local", "{name}: {image} is no exact version");
    }
    let tests = read("crates/testkit/src/docker.rs");
    let redpanda = services()["redpanda"]["image"].as_str().unwrap().replace(':', "\", \"");
    assert!(tests.contains(&redpanda), "the tests meet another Redpanda than {redpanda}");
}

#[test]
fn a_service_waits_only_for_what_can_become_true() {
    let services = services();
    for (name, service) in &services {
        for (other, wait) in entries(&service["depends_on"]) {
            let awaited = services.get(other).unwrap_or_else(|| panic!("{name} waits for {other}, which is not there"));
            match wait["condition"].as_str().unwrap() {
                "service_healthy" => {
                    let of_its_image = awaited["image"].as_str().unwrap().contains("flashsale");
                    let is_told = of_its_image || awaited["healthcheck"]["test"].is_array();
                    assert!(
                        is_told && awaited["healthcheck"]["disable"] != true,
                        "{other} never says that it is healthy"
                    );
                }
                "service_completed_successfully" => assert_eq!(awaited["restart"], "no", "{other} does not end"),
                other => panic!("{name}: nobody should wait by {other}"),
            }
            let missing: Vec<_> = profiles(service).difference(&profiles(awaited)).copied().collect();
            assert!(missing.is_empty(), "{name} is in {missing:?}, but {other}, for which it waits, is not");
        }
        assert!(profiles(service).contains("observability"), "{name}: that profile is the whole");
    }
    // An order in which all can start: each round starts those that wait for nobody who has not been started.
    let mut started = BTreeSet::new();
    while started.len() < services.len() {
        let can = |(_, service): &(&String, &Value)| {
            entries(&service["depends_on"]).all(|(other, _)| started.contains(other))
        };
        let next: Vec<String> = services.iter().filter(can).map(|(name, _)| name.clone()).collect();
        let before = started.len();
        started.extend(next);
        assert!(started.len() > before, "a circle among those beside {started:?}");
    }
}

#[test]
fn whom_a_service_asks_is_in_a_network_of_its_own() {
    let (file, services) = (yaml(FILE).remove(0), services());
    for (name, service) in &services {
        assert!(!networks(service).is_empty(), "{name} is in no named network");
        for network in networks(service) {
            assert!(file["networks"].get(network).is_some(), "{name}: there is no network {network}");
        }
        let asked = environment(service).into_values().collect::<Vec<_>>().join(" ");
        for (other, server) in &services {
            let is_asked = asked.split(['/', '@', ',', ' ']).any(|word| word.starts_with(&format!("{other}:")));
            assert!(!is_asked || !networks(service).is_disjoint(&networks(server)), "{name} cannot reach {other}");
        }
    }
    assert_eq!(file["networks"]["data"]["internal"], true, "the servers are reached from nowhere else");
    let front = file["networks"]["front"]["ipam"]["config"][0]["subnet"].as_str().unwrap();
    for (name, service) in ours() {
        assert_eq!(environment(&service)["FLASHSALE_TRUSTED_PROXIES"], front, "{name}");
    }
}

#[test]
fn what_a_service_mounts_is_there() {
    let (file, mut mounted) = (yaml(FILE).remove(0), BTreeSet::new());
    for (name, service) in services() {
        for mount in texts(&service["volumes"]) {
            let (source, target) = mount.split_once(':').unwrap();
            if source.starts_with("./") {
                assert!(path(source).exists(), "{name}: there is no {source}");
                assert!(target.ends_with(":ro"), "{name}: {source} is ours, and not to be written");
            } else {
                assert!(file["volumes"].get(source).is_some(), "{name}: there is no volume {source}");
                mounted.insert(source.to_owned());
            }
        }
    }
    assert_eq!(
        mounted,
        entries(&file["volumes"]).map(|(name, _)| name.clone()).collect(),
        "volumes that somebody uses"
    );
}

#[test]
fn no_service_may_more_than_it_needs() {
    for (name, service) in services() {
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        assert!(service["cap_add"].is_null() && service["privileged"].is_null(), "{name}");
        // Redpanda's own tool writes its configuration.
        assert!(service["read_only"] == true || name == "redpanda", "{name} may write to its root");
        for limit in ["cpus", "memory", "pids"] {
            assert!(!service["deploy"]["resources"]["limits"][limit].is_null(), "{name} has no limit of {limit}");
        }
        for port in texts(&service["ports"]) {
            let is_ours =
                port.starts_with("127.0.0.1:") || name == "nginx" && port.starts_with("${PUBLISH_ADDRESS:-127.0.0.1}:");
            assert!(is_ours, "{name}: {port} is open to everybody");
        }
        assert_eq!(service["logging"]["options"]["max-file"], "3", "{name} may fill the disk with logs");
    }
}

#[test]
fn no_secret_has_a_default() {
    let text = read(FILE);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let (lines, example) = (lines.join("\n"), variables(&read(EXAMPLE)));
    let mut used = BTreeSet::from(OF_DOCKER);
    for (name, rule) in references(&lines) {
        let is_secret = ["PASSWORD", "SECRET", "KEY"].iter().any(|word| name.contains(word));
        assert_eq!(is_secret, rule.starts_with(":?"), "{name}{rule}: secrets, and they alone, must be given");
        let value = example.get(name).unwrap_or_else(|| panic!("{EXAMPLE} has no {name}"));
        assert_eq!(is_secret, value.is_empty(), "{name} in {EXAMPLE}");
        used.insert(name);
    }
    assert_eq!(used, example.keys().map(String::as_str).collect(), "what {EXAMPLE} names is used");
}

#[test]
fn nginx_and_prometheus_ask_the_services_that_there_are() {
    let services = services();
    let upstreams = |file: &str| -> BTreeSet<String> {
        read(file).lines().filter_map(|line| line.strip_prefix("upstream ")).map(str::to_owned).collect()
    };
    let own = "deploy/compose/upstreams.conf";
    assert_eq!(upstreams(own), upstreams("deploy/nginx/conf.d/upstreams.conf"));
    let text = read(own);
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("server "));
    let servers: BTreeSet<&str> = servers.map(|server| server.split(':').next().unwrap()).collect();
    let nginx = &services["nginx"];
    let awaited: BTreeSet<&str> = entries(&nginx["depends_on"]).map(|(name, _)| name.as_str()).collect();
    assert_eq!(servers, awaited, "a name that is not there keeps nginx from starting");
    for server in servers {
        assert!(!networks(nginx).is_disjoint(&networks(&services[server])), "nginx cannot reach {server}");
    }

    let prometheus = yaml("deploy/prometheus/prometheus.yml").remove(0);
    let jobs = items(&prometheus["scrape_configs"]);
    let targets: BTreeSet<String> = jobs
        .flat_map(|job| items(&job["static_configs"]).flat_map(|group| texts(&group["targets"])))
        .map(|target| target.split(':').next().unwrap().to_owned())
        .collect();
    let serving = ours().into_keys().filter(|name| name != "migrate");
    assert_eq!(targets, serving.chain(["redpanda".to_owned()]).collect());
    let reached = targets.iter().all(|name| !networks(&services["prometheus"]).is_disjoint(&networks(&services[name])));
    assert!(reached, "Prometheus cannot reach one of {targets:?}");
}

#[test]
fn variables_are_put_in_as_docker_does_it() {
    let given = Variables::from([("A".to_owned(), "1".to_owned())]);
    assert_eq!(interpolated("x${A}y${A:-2}z${B:-3}${A:?see}", &given), "x1y1z31");
    assert_eq!(references("${A:?why}/${B}"), [("A", ":?why"), ("B", "")]);
}

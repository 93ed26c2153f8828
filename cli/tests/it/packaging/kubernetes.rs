//! deploy/kubernetes: what its manifests say fits together and fits the binary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Variables, entries, files, in_force, is_command, is_enough, items, path, read, stop_ms, texts, variables, versions,
    yaml,
};

const BASE: &str = "deploy/kubernetes/base";
const OVERLAY: &str = "deploy/kubernetes/overlays/production";

/// Mounted out of a Secret; here any file that can be read takes its place.
const AUTHORITY: &str = "/etc/flashsale/tls/ca.crt";

/// The objects of the base, by kind and name.
fn objects() -> BTreeMap<(String, String), Value> {
    let kustomization = yaml(&format!("{BASE}/kustomization.yaml")).remove(0);
    let files = texts(&kustomization["resources"]).into_iter().map(|file| format!("{BASE}/{file}")).collect::<Vec<_>>();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = files.iter().flat_map(|file| yaml(file));
    all.map(|object| ((text(&object["kind"]), text(&object["metadata"]["name"])), object)).collect()
}

fn of_kind(kind: &str) -> BTreeMap<String, Value> {
    objects().into_iter().filter(|((of, _), _)| of == kind).map(|((_, name), object)| (name, object)).collect()
}

/// Deployments and the Job: what runs our image.
fn workloads() -> BTreeMap<String, Value> {
    of_kind("Deployment").into_iter().chain(of_kind("Job")).collect()
}

fn pod(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

fn container(workload: &Value) -> &Value {
    &pod(workload)["containers"][0]
}

/// What kustomize puts into workloads of a kind.
fn common(kind: &str) -> Value {
    let kustomization = yaml(&format!("{BASE}/kustomization.yaml")).remove(0);
    let patch = items(&kustomization["patches"]).find(|patch| patch["target"]["kind"] == kind).unwrap();
    yaml(&format!("{BASE}/{}", patch["path"].as_str().unwrap())).remove(0)
}

/// The keys of the Secret, with something in each.
fn secrets() -> Variables {
    let example = yaml("deploy/kubernetes/secret.example.yaml").remove(0);
    let keys = entries(&example["stringData"]);
    keys.map(|(key, value)| (key.clone(), value.as_str().unwrap().replace("REPLACE", super::SECRET))).collect()
}

/// The variables that a container gets from the Secret, by their keys.
fn from_secret(container: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |variable: &Value| (text(&variable["name"]), text(&variable["valueFrom"]["secretKeyRef"]["key"]));
    items(&container["env"]).map(of).collect()
}

/// All settings of a workload in production.
fn settings(workload: &Value) -> Variables {
    let kind = workload["kind"].as_str().unwrap();
    let mut settings = variables(&read(&format!("{BASE}/settings.env")));
    settings.extend(variables(&read(&format!("{OVERLAY}/settings.env"))));
    let secrets = secrets();
    let common = common(kind);
    let mut keys = from_secret(container(&common));
    keys.extend(from_secret(container(workload)));
    settings.extend(keys.into_iter().map(|(name, key)| (name, secrets[&key].clone())));
    let mounted = container(&common)["volumeMounts"][0]["mountPath"].as_str().unwrap();
    assert!(AUTHORITY.starts_with(mounted), "{mounted} has no certificates");
    let file = path("LICENSE").display().to_string();
    settings.into_iter().map(|(name, value)| (name, value.replace(AUTHORITY, &file))).collect()
}

#[test]
fn every_manifest_is_part_of_the_whole() {
    let kustomization = yaml(&format!("{BASE}/kustomization.yaml")).remove(0);
    let patches = items(&kustomization["patches"]).map(|patch| patch["path"].as_str().unwrap());
    let generated = items(&kustomization["configMapGenerator"]).flat_map(|map| texts(&map["envs"]));
    let named = texts(&kustomization["resources"]).into_iter().chain(patches).chain(generated);
    let named: BTreeSet<String> = named.chain(["kustomization.yaml"]).map(str::to_owned).collect();
    assert_eq!(named, files(BASE).into_iter().collect());
    let overlay = yaml(&format!("{OVERLAY}/kustomization.yaml")).remove(0);
    let (version, _) = versions();
    assert_eq!(overlay["images"][0]["newTag"], version.as_str(), "the release that this checkout is");
    for scaled in items(&overlay["replicas"]) {
        let name = scaled["name"].as_str().unwrap();
        let deployment = &of_kind("Deployment")[name];
        assert!(deployment["spec"]["replicas"].is_number(), "{name} is scaled by something else");
    }
}

#[test]
fn every_workload_of_the_manifests_is_a_part_with_all_it_needs() {
    let mut parts = BTreeSet::new();
    for (name, workload) in workloads() {
        let arguments = texts(&container(&workload)["args"]);
        is_command(&arguments);
        let settings = settings(&workload);
        in_force(&settings);
        if workload["kind"] == "Deployment" {
            is_enough(&arguments.join(" "), &settings);
            parts.insert(arguments.join(" "));
        }
        assert!(!container(&workload)["resources"]["limits"]["memory"].is_null(), "{name} may take all memory");
        assert!(!container(&workload)["resources"]["requests"]["cpu"].is_null(), "{name} asks for no share of a core");
    }
    assert_eq!(parts, ["api", "ingest", "processor", "sink postgres", "sink sse"].map(str::to_owned).into());
}

#[test]
fn the_secret_has_exactly_the_keys_that_are_asked_for() {
    let all = workloads().into_values().chain([common("Deployment"), common("Job")]);
    let asked: BTreeSet<String> = all.flat_map(|workload| from_secret(container(&workload)).into_values()).collect();
    assert_eq!(asked, secrets().into_keys().collect());
}

#[test]
fn a_pod_has_time_to_drain_before_it_is_killed() {
    let deployment = common("Deployment");
    let seconds = pod(&deployment)["terminationGracePeriodSeconds"].as_u64().unwrap();
    for (name, workload) in of_kind("Deployment") {
        assert!(seconds * 1_000 >= stop_ms(&settings(&workload)), "{name} would be killed while it stops");
    }
    let container = container(&deployment);
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/health/ready");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/health/live");
    let start = &container["startupProbe"];
    let patience = start["periodSeconds"].as_u64().unwrap() * start["failureThreshold"].as_u64().unwrap();
    assert!(patience > 60, "a process waits up to a minute for its servers");
}

#[test]
fn no_pod_may_more_than_it_needs() {
    for kind in ["Deployment", "Job"] {
        let common = common(kind);
        let (pod, container) = (pod(&common), container(&common));
        // A Service of ours would put variables with our prefix into each pod, and an unknown setting stops the start.
        assert_eq!(pod["enableServiceLinks"], false, "{kind}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{kind}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{kind}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{kind}");
        let wanted = json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        });
        assert_eq!(container["securityContext"], wanted, "{kind}");
    }
    let image = read("Dockerfile");
    let user = common("Deployment");
    let user = &pod(&user)["securityContext"];
    assert!(
        image.contains(&format!("USER {}:{}\n", user["runAsUser"], user["runAsGroup"])),
        "another user than the image's"
    );
}

#[test]
fn every_part_is_found_kept_and_allowed() {
    let (deployments, budgets) = (of_kind("Deployment"), of_kind("PodDisruptionBudget"));
    assert_eq!(budgets.keys().collect::<Vec<_>>(), deployments.keys().collect::<Vec<_>>(), "each has a budget");
    let component = |labels: &Value| labels["app.kubernetes.io/component"].as_str().unwrap().to_owned();
    for (name, deployment) in &deployments {
        let part = component(&deployment["spec"]["template"]["metadata"]["labels"]);
        assert_eq!(component(&deployment["spec"]["selector"]["matchLabels"]), part);
        assert_eq!(component(&budgets[name]["spec"]["selector"]["matchLabels"]), part);
        assert_eq!(container(deployment)["name"], "flashsale", "what the patch goes by");
    }
    let scaler = &of_kind("HorizontalPodAutoscaler")["flashsale-ingest"];
    let scaled = &deployments[scaler["spec"]["scaleTargetRef"]["name"].as_str().unwrap()];
    assert!(scaled["spec"]["replicas"].is_null(), "each deployment would undo what the autoscaler did");

    // The parts that shoppers reach have a Service, and the policy lets the proxy in to them.
    let served: BTreeSet<String> =
        of_kind("Service").values().map(|service| component(&service["spec"]["selector"])).collect();
    let front = &of_kind("NetworkPolicy")["flashsale-front"]["spec"]["podSelector"]["matchExpressions"][0];
    assert_eq!(served, texts(&front["values"]).into_iter().map(str::to_owned).collect());
    assert_eq!(served, ["api", "ingest", "sink-sse"].map(str::to_owned).into());
}

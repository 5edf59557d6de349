"""Checks what no schema knows of the manifests and the compose file: that names, ports, settings and times fit together.

    promises.py RENDERED… -- RULES… prints a line for each fault, and exits with 1 if there is one.
"""

import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# How much longer than worker.drain_timeout a stop takes at most, in seconds.
AFTER_DRAIN = 5

faults: list[str] = []


def expect(holds, message):
    if not holds:
        faults.append(message)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def settings_of_program():
    defaults = tomllib.loads((ROOT / "config/default.toml").read_text())
    keys = {f"COURIER_{section}__{key}".upper() for section, values in defaults.items() for key in values}
    return keys, defaults


def pods(resources):
    """Returns the name, the labels and the specification of each template of a pod."""
    for resource in resources:
        template = {
            "StatefulSet": lambda spec: spec["template"],
            "CronJob": lambda spec: spec["jobTemplate"]["spec"]["template"],
        }.get(resource["kind"])
        if template:
            pod = template(resource["spec"])
            yield f"{resource['kind']}/{resource['metadata']['name']}", pod["metadata"]["labels"], pod["spec"]


def check_restricted(name, pod):
    expect(pod.get("automountServiceAccountToken") is False, f"{name}: mounts a token for the API of Kubernetes")
    context = pod.get("securityContext", {})
    expect(context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0, f"{name}: may run as root")
    expect(context.get("seccompProfile") == {"type": "RuntimeDefault"}, f"{name}: has no seccomp profile")
    for shared in ["hostNetwork", "hostPID", "hostIPC"]:
        expect(not pod.get(shared), f"{name}: has {shared}")
    for volume in pod.get("volumes", []):
        kind = set(volume) - {"name"}
        expect(kind <= {"secret", "emptyDir", "persistentVolumeClaim", "configMap"}, f"{name}: mounts {kind}")
    for container in pod["containers"] + pod.get("initContainers", []):
        context = container.get("securityContext", {})
        expect(context.get("allowPrivilegeEscalation") is False, f"{name}: may gain privileges")
        expect(context.get("readOnlyRootFilesystem") is True, f"{name}: may write into its image")
        expect(context.get("capabilities") == {"drop": ["ALL"]}, f"{name}: has capabilities")
        for bound in ["cpu", "memory"]:
            for kind in ["requests", "limits"]:
                expect(bound in container.get("resources", {}).get(kind, {}), f"{name}: no {kind} of {bound}")


def environment(container, maps):
    """Returns the variables of a container: their texts, or where they come from."""
    found = {}
    for source in container.get("envFrom", []):
        found.update(maps.get(source["configMapRef"]["name"], {}))
    for variable in container.get("env", []):
        found[variable["name"]] = variable.get("value", variable.get("valueFrom"))
    return found


def check_settings(name, pod, maps):
    keys, defaults = settings_of_program()
    for container in pod["containers"]:
        for source in container.get("envFrom", []):
            expect(source["configMapRef"]["name"] in maps, f"{name}: there is no {source['configMapRef']['name']}")
        variables = environment(container, maps)
        for variable in variables:
            expect(variable in keys, f"{name}: {variable} is no setting")
        for secret in ["COURIER_AMQP__URL", "COURIER_STORE__URL"]:
            value = variables.get(secret)
            expect(value is not None or container["args"] != ["run"], f"{name}: {secret} is missing")
            is_safe = value is None or isinstance(value, dict) or value.startswith("sqlite:")
            expect(is_safe, f"{name}: {secret} is not taken from a secret")
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        key_file = variables.get("COURIER_KEYS__MASTER_KEY_FILE", "")
        expect(any(key_file.startswith(f"{mount}/") for mount in mounts), f"{name}: {key_file} is on no volume")
        store = variables.get("COURIER_STORE__URL")
        if isinstance(store, str):
            file = store.removeprefix("sqlite:")
            expect(any(file.startswith(f"{mount}/") for mount in mounts), f"{name}: {file} is on no volume")
        if container["args"] == ["run"]:
            drain = seconds(variables.get("COURIER_WORKER__DRAIN_TIMEOUT", defaults["worker"]["drain_timeout"]))
            grace = pod.get("terminationGracePeriodSeconds", 30)
            expect(grace > drain + AFTER_DRAIN, f"{name}: {grace} s are too short for a drain of {drain} s")
            by_pod = {"fieldRef": {"fieldPath": "metadata.name"}}
            expect(variables.get("COURIER_WORKER__NAME") == by_pod, f"{name}: workers are not named after their pods")


def check_probes(name, pod):
    for container in pod["containers"]:
        if container["args"] != ["run"]:
            continue
        ports = {port["name"] for port in container["ports"]}
        for probe, path in [("startup", "/livez"), ("liveness", "/livez"), ("readiness", "/readyz")]:
            get = container.get(f"{probe}Probe", {}).get("httpGet", {})
            expect(get.get("path") == path and get.get("port") in ports, f"{name}: {probe}Probe does not ask {path}")


def selects(selector, labels):
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def check_selectors(resources, templates):
    workers = [(labels, pod) for name, labels, pod in templates if name.startswith("StatefulSet/")]
    everything = [labels for _, labels, _ in templates]
    ports = {port["name"] for _, pod in workers for container in pod["containers"] for port in container["ports"]}
    for resource in resources:
        kind, name, spec = resource["kind"], resource["metadata"]["name"], resource.get("spec", {})
        selected = {
            "StatefulSet": lambda: spec["selector"]["matchLabels"],
            "Service": lambda: spec["selector"],
            "PodDisruptionBudget": lambda: spec["selector"]["matchLabels"],
            "PodMonitor": lambda: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"],
        }.get(kind)
        if not selected:
            continue
        selector = selected()
        expect(any(selects(selector, labels) for labels, _ in workers), f"{kind}/{name}: selects no worker")
        if kind == "NetworkPolicy":
            for rule in spec.get("ingress", []):
                expect("from" in rule, f"{kind}/{name}: admits everybody")
                for port in rule.get("ports", [{}]):
                    expect(port.get("port") in ports, f"{kind}/{name}: admits to {port}, which is no port of a worker")
        elif kind != "StatefulSet":
            others = [labels for labels in everything if labels["app.kubernetes.io/component"] != "worker"]
            expect(not any(selects(selector, labels) for labels in others), f"{kind}/{name}: selects other pods, too")
        for port in spec.get("ports", []) if kind == "Service" else []:
            expect(port["targetPort"] in ports, f"{kind}/{name}: {port['targetPort']} is no port of a worker")
        for endpoint in spec.get("podMetricsEndpoints", []):
            expect(endpoint["port"] in ports, f"{kind}/{name}: {endpoint['port']} is no port of a worker")
    policies = [resource["spec"] for resource in resources if resource["kind"] == "NetworkPolicy"]
    for labels in everything:
        applied = [spec for spec in policies if selects(spec["podSelector"]["matchLabels"], labels)]
        kinds = {kind for spec in applied for kind in spec["policyTypes"]}
        expect(kinds == {"Ingress", "Egress"}, f"{labels}: no policy for its traffic")
    for _, pod in workers:
        for spread in pod.get("topologySpreadConstraints", []):
            fits = any(selects(spread["labelSelector"]["matchLabels"], labels) for labels, _ in workers)
            expect(fits, f"{spread['topologyKey']}: spreads no worker")


def check_numbers(resources):
    sets = [resource for resource in resources if resource["kind"] == "StatefulSet"]
    expect(len(sets) == 1, "there has to be one StatefulSet")
    scaled = [resource["spec"] for resource in resources if resource["kind"] == "ScaledObject"]
    budgets = [resource for resource in resources if resource["kind"] == "PodDisruptionBudget"]
    claims = [resource["metadata"]["name"] for resource in resources if resource["kind"] == "PersistentVolumeClaim"]
    for stateful in sets:
        replicas, pod = stateful["spec"].get("replicas"), stateful["spec"]["template"]["spec"]
        of_volumes = [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]
        used = [claim["claimName"] for claim in of_volumes if claim]
        expect(set(used) <= set(claims), f"there is no claim {used}")
        if used:
            expect(replicas == 1 and not scaled, "an SQLite file serves one worker")
        else:
            expect(budgets, "several workers have no PodDisruptionBudget")
            expect(pod.get("topologySpreadConstraints"), "several workers are not spread")
        if scaled:
            expect(replicas is None, "`kubectl apply` would set the number of workers back")
            target = scaled[0]["scaleTargetRef"]
            named = (target["kind"], target["name"]) == ("StatefulSet", stateful["metadata"]["name"])
            expect(named, f"KEDA scales {target}, which is not there")
            expect(1 < scaled[0]["minReplicaCount"] < scaled[0]["maxReplicaCount"], "KEDA's limits leave no choice")
        elif not used:
            expect((replicas or 0) > 1, "one worker is no production")


def check_file(file):
    resources = [resource for resource in yaml.safe_load_all(Path(file).read_text()) if resource]
    templates = list(pods(resources))
    maps = {r["metadata"]["name"]: r["data"] for r in resources if r["kind"] == "ConfigMap"}
    for resource in resources:
        name = f"{resource['kind']}/{resource['metadata']['name']}"
        expect(resource["kind"] != "Secret", f"{name}: secrets are made by people")
        if resource["kind"] != "Namespace":
            expect(resource["metadata"].get("namespace") == "testmo-courier", f"{name}: is in no namespace of ours")
    for name, _, pod in templates:
        check_restricted(name, pod)
        check_settings(name, pod, maps)
        check_probes(name, pod)
    check_selectors(resources, templates)
    check_numbers(resources)
    return resources


def check_compose():
    """Checks the services of the compose file, and returns how many there are."""
    keys, defaults = settings_of_program()
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    for name, service in compose["services"].items():
        expect(service.get("read_only") is True, f"{name}: may write into its image")
        expect(service.get("cap_drop") == ["ALL"] and not service.get("cap_add"), f"{name}: has capabilities")
        expect(service.get("security_opt") == ["no-new-privileges:true"], f"{name}: may gain privileges")
        for bound in ["mem_limit", "cpus", "pids_limit"]:
            expect(bound in service, f"{name}: has no {bound}")
        image = service["image"]
        is_ours = image in ["testmo-courier", "testmo-sim"]
        expect(is_ours or re.search(r":v?\d+\.\d+(\.\d+)?", image), f"{name}: {image} is no exact version")
        for port in service.get("ports", []):
            expect(port.startswith("127.0.0.1:"), f"{name}: {port} is open to other machines")
        expect("healthcheck" in service or name == "testmo-sim", f"{name}: has no health check")
        for variable in service.get("environment", {}):
            is_setting = variable in keys or not image.startswith("testmo-courier")
            expect(is_setting, f"{name}: {variable} is no setting")
    of_image = re.search(r"^VOLUME (.+)$", (ROOT / "Dockerfile").read_text(), re.M)[1].split()
    for name in ["init", "courier"]:
        service = compose["services"][name]
        mounted = [mount.split(":")[-1] for mount in service["volumes"]] + [path.split(":")[0] for path in service["tmpfs"]]
        for volume in of_image:
            expect(volume in mounted, f"{name}: each new container leaves a volume behind for {volume}")
    expect(len(of_image) == len(set(of_image)) == 2, "the image has no volumes of their own for the store and the key")
    worker = compose["services"]["courier"]
    drain = seconds(worker["environment"].get("COURIER_WORKER__DRAIN_TIMEOUT", defaults["worker"]["drain_timeout"]))
    grace = seconds(worker["stop_grace_period"])
    expect(grace > drain + AFTER_DRAIN, f"courier: {grace} s are too short for a drain of {drain} s")
    return len(compose["services"])


def check_rules(resources, files):
    deployed = [group for r in resources if r["kind"] == "PrometheusRule" for group in r["spec"]["groups"]]
    expected = [group for file in files for group in yaml.safe_load(Path(file).read_text())["groups"]]
    expect(deployed == expected, "the PrometheusRule differs from deploy/prometheus")
    return sum(len(group["rules"]) for group in expected)


def main():
    split = sys.argv.index("--")
    rendered, rules = sys.argv[1:split], sys.argv[split + 1 :]
    for file in rendered:
        before = len(faults)
        resources = check_file(file)
        if any(resource["kind"] == "PrometheusRule" for resource in resources):
            count = check_rules(resources, rules)
            print(f"{Path(file).stem}: the {count} rules are those of deploy/prometheus")
        faults[before:] = [f"{Path(file).stem}: {fault}" for fault in faults[before:]]
        print(f"{Path(file).stem}: {len(resources)} resources, {len(faults) - before} faults")
    before = len(faults)
    count = check_compose()
    print(f"deploy/compose.yaml: {count} services, {len(faults) - before} faults")
    for fault in faults:
        print(f"  {fault}")
    sys.exit(1 if faults else 0)


main()

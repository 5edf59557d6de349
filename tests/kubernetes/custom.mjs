// Checks custom resources, read as JSON from the standard input, with the schemas of the operators that they are for, and
// writes them as TypeScript to the file that is named, where the compiler finds members that a schema does not have.
import { readFileSync, writeFileSync } from "node:fs";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { PodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";

const kinds = {
  PodMonitor: [PodMonitor, "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor"],
  PrometheusRule: [PrometheusRule, "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule"],
  ScaledObject: [ScaledObject, "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject"],
};
const lines = Object.entries(kinds).map(([kind, [, path]]) => `import type { I${kind} } from "${path}";`);
let failed = false;
for (const [index, resource] of JSON.parse(readFileSync(0, "utf8")).entries()) {
  const name = `${resource.kind}/${resource.metadata?.name}`;
  const [Model] = kinds[resource.kind] ?? [];
  try {
    if (!Model) throw new Error("there is no schema for this kind");
    if (resource.apiVersion !== Model.apiVersion) throw new Error(`the schema is for ${Model.apiVersion}`);
    new Model(resource).validate();
    console.log(`${name} is valid`);
  } catch (error) {
    failed = true;
    console.log(`${name}: ${error.message}`);
  }
  lines.push(`export const resource${index}: I${resource.kind} = ${JSON.stringify(resource, null, 2)};`);
}
writeFileSync(process.argv[2], lines.join("\n") + "\n");
process.exit(failed ? 1 : 0);

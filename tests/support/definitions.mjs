// Holds objects, one JSON a line on standard input, to the schemas of the definitions that their kinds come from, unknown fields refused.
// Prints what is wrong, a line each.
//
//   node definitions.mjs FOLDER-OF-NODE_MODULES
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const PACKAGES = { "argoproj.io": "argo-cd", "keda.sh": "keda", "monitoring.coreos.com": "prometheus-operator" };
// What the packages do not know as yet, or leave out, and what Argo CD 3.5's definitions have.
const KNOWN = [/^AppProject spec\.description$/, /^AppProject spec\.clusterResourceWhitelist\.\d+\.name$/];

// The schemas are compiled, and let unknown fields pass: a field that a validator never looks at is unknown. A value of which no field is looked at
// is free in form, as a chart's values are.
function watched(value, path, looks) {
  if (value === null || typeof value !== "object") return value;
  const children = new Map();
  const look = { value, path, fields: new Set() };
  looks.push(look);
  return new Proxy(value, {
    get(target, field) {
      look.fields.add(field);
      if (!Object.hasOwn(target, field)) return target[field];
      if (!children.has(field)) children.set(field, watched(target[field], `${path}.${String(field)}`, looks));
      return children.get(field);
    },
    ownKeys(target) {
      Reflect.ownKeys(target).forEach((field) => look.fields.add(field));
      return Reflect.ownKeys(target);
    },
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const object = JSON.parse(line);
  const kind = `${PACKAGES[object.apiVersion.split("/")[0]]}/${object.apiVersion}/${object.kind}`;
  const file = [".mjs", ".js"].map((end) => `${process.argv[2]}/@kubernetes-models/${kind}${end}`).find(existsSync);
  const { [object.kind]: Model } = await import(pathToFileURL(file));
  const looks = [];
  const model = new Model(object);
  model.spec = watched(object.spec, `${object.kind} spec`, looks); // behind its back: the constructor would copy it
  try {
    model.validate();
  } catch (error) {
    console.log(`${object.metadata.name}: ${error.message}`);
    continue;
  }
  for (const { value, path, fields } of looks) {
    if (Array.isArray(value) || ![...fields].some((field) => typeof field === "string")) continue;
    const unknown = Object.keys(value).filter((field) => !fields.has(field)).map((field) => `${path}.${field}`);
    for (const field of unknown) {
      if (!KNOWN.some((known) => known.test(field))) console.log(`${object.metadata.name}: ${field} is unknown`);
    }
  }
}

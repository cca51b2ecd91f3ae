// Runs a container through a CRI endpoint, prints every event on the way, and leaves nothing behind.
//
//     minicri serve --runtime docker --listen unix:///run/minicri/minicri.sock
//     npm install && node run.js unix:///run/minicri/minicri.sock busybox
//
// The only knowledge of the interface is the .proto file of this repository.

import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTO = process.env.CRI_PROTO ?? fileURLToPath(new URL("../../../proto/cri/v1/api.proto", import.meta.url));
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const PATIENCE_MS = 60_000;

const [address = "unix:///run/minicri/minicri.sock", image = "busybox"] = process.argv.slice(2);

// int64 becomes a string, because nanoseconds since 1970 do not fit into a JavaScript number.
const definition = protoLoader.loadSync(PROTO, { keepCase: true, longs: String, enums: String, defaults: true });
const { RuntimeService, ImageService } = grpc.loadPackageDefinition(definition).runtime.v1;

const channelOptions = { "grpc.max_receive_message_length": MAX_MESSAGE_BYTES };
const credentials = grpc.credentials.createInsecure(); // a Unix socket is guarded by its file mode
const runtime = new RuntimeService(address, credentials, channelOptions);
const images = new ImageService(address, credentials, channelOptions);

function call(client, method, request) {
  return promisify(client[method].bind(client))(request);
}

// Prints each event, and resolves a promise with the first one that `wanted` says yes to.
function listen(wanted) {
  const stream = runtime.GetContainerEvents({});
  const heard = new Promise((resolve, reject) => {
    stream.on("data", (event) => {
      console.log(`event ${event.container_event_type} ${event.container_id.slice(0, 12)}`);
      if (wanted(event)) resolve(event);
    });
    stream.on("error", (error) => {
      if (error.code !== grpc.status.CANCELLED) reject(error);
    });
    stream.on("end", () => reject(new Error("the endpoint ended the stream of events")));
  });
  heard.catch(() => {}); // whoever awaits it later still sees the failure
  return { heard, close: () => stream.cancel() };
}

function within(milliseconds, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function main() {
  const version = await call(runtime, "Version", {});
  console.log(`${version.runtime_name} ${version.runtime_version}, CRI ${version.runtime_api_version}`);

  let containerId = "";
  const events = listen(
    (event) => event.container_event_type === "CONTAINER_STOPPED_EVENT" && event.container_id === containerId,
  );
  let sandboxId = "";
  try {
    await call(images, "PullImage", { image: { image } });
    const sandboxConfig = {
      metadata: { name: "node-example", namespace: "default", uid: randomUUID() },
      labels: { example: "node" },
    };
    ({ pod_sandbox_id: sandboxId } = await call(runtime, "RunPodSandbox", { config: sandboxConfig }));
    ({ container_id: containerId } = await call(runtime, "CreateContainer", {
      pod_sandbox_id: sandboxId,
      config: { metadata: { name: "main" }, image: { image }, command: ["sleep", "1000"] },
      sandbox_config: sandboxConfig,
    }));
    await call(runtime, "StartContainer", { container_id: containerId });

    const said = await call(runtime, "ExecSync", { container_id: containerId, cmd: ["echo", "hello from node"] });
    process.stdout.write(`exec ${said.exit_code} ${said.stdout}`);

    await call(runtime, "StopContainer", { container_id: containerId, timeout: 0 });
    await within(PATIENCE_MS, events.heard, "the event of the container's end");
    const { status } = await call(runtime, "ContainerStatus", { container_id: containerId });
    console.log(`status ${status.state} ${status.exit_code}`);
  } finally {
    if (sandboxId) await call(runtime, "RemovePodSandbox", { pod_sandbox_id: sandboxId });
    events.close();
    runtime.close();
    images.close();
  }
}

try {
  await main();
} catch (error) {
  // grpc-js puts the code's name into the message: "5 NOT_FOUND: container … does not exist".
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}

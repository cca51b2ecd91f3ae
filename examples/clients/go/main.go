// Runs a container through a CRI endpoint, prints every event on the way, and leaves nothing behind.
//
// The package cri is generated from proto/cri/v1/api.proto by build.sh; nothing else here knows the interface.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"minicri.example/cri"
)

const (
	patience        = time.Minute
	maxMessageBytes = 16 << 20
)

// codec encodes with the current protobuf library: the gRPC package of Debian 12 has an older one of its own.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(message interface{}) ([]byte, error) {
	return proto.Marshal(message.(proto.Message))
}

func (codec) Unmarshal(data []byte, message interface{}) error {
	return proto.Unmarshal(data, message.(proto.Message))
}

func main() {
	address, image := argument(1, "unix:///run/minicri/minicri.sock"), argument(2, "busybox")
	if err := run(address, image); err != nil {
		fmt.Fprintln(os.Stderr, "error:", status.Convert(err).Code(), status.Convert(err).Message())
		os.Exit(1)
	}
}

func argument(place int, otherwise string) string {
	if len(os.Args) > place {
		return os.Args[place]
	}
	return otherwise
}

func run(address, image string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	options := grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{}), grpc.MaxCallRecvMsgSize(maxMessageBytes))
	// A Unix socket is guarded by its file mode, so there is nothing to encrypt.
	connection, err := grpc.DialContext(ctx, address, grpc.WithInsecure(), options)
	if err != nil {
		return err
	}
	defer connection.Close()
	runtime, images := cri.NewRuntimeServiceClient(connection), cri.NewImageServiceClient(connection)

	version, err := runtime.Version(ctx, &cri.VersionRequest{})
	if err != nil {
		return err
	}
	fmt.Printf("%s %s, CRI %s\n", version.RuntimeName, version.RuntimeVersion, version.RuntimeApiVersion)

	events, err := runtime.GetContainerEvents(ctx, &cri.GetEventsRequest{})
	if err != nil {
		return err
	}
	spec := &cri.ImageSpec{Image: image}
	if _, err = images.PullImage(ctx, &cri.PullImageRequest{Image: spec}); err != nil {
		return err
	}
	sandboxConfig := &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{
			Name: "go-example", Namespace: "default", Uid: fmt.Sprint(time.Now().UnixNano()),
		},
		Labels: map[string]string{"example": "go"},
	}
	sandbox, err := runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: sandboxConfig})
	if err != nil {
		return err
	}
	defer func() {
		// The time of the calls before may be up; the sandbox goes all the same.
		_, removal := runtime.RemovePodSandbox(context.Background(),
			&cri.RemovePodSandboxRequest{PodSandboxId: sandbox.PodSandboxId})
		if err == nil {
			err = removal
		}
	}()
	container, err := runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: sandbox.PodSandboxId,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "main"}, Image: spec, Command: []string{"sleep", "1000"},
		},
		SandboxConfig: sandboxConfig,
	})
	if err != nil {
		return err
	}
	id := container.ContainerId
	if _, err = runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: id}); err != nil {
		return err
	}
	said, err := runtime.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"echo", "hello from go"}})
	if err != nil {
		return err
	}
	fmt.Printf("exec %d %s", said.ExitCode, said.Stdout)
	if _, err = runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: id, Timeout: 0}); err != nil {
		return err
	}
	if err = printUntilStopped(events, id); err != nil {
		return err
	}
	ended, err := runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		return err
	}
	fmt.Printf("status %s %d\n", ended.Status.State, ended.Status.ExitCode)
	return nil
}

// printUntilStopped prints the events up to the one that says that the container has ended.
func printUntilStopped(events cri.RuntimeService_GetContainerEventsClient, container string) error {
	for {
		event, err := events.Recv()
		if err != nil {
			return err
		}
		fmt.Printf("event %s %.12s\n", event.ContainerEventType, event.ContainerId)
		stopped := event.ContainerEventType == cri.ContainerEventType_CONTAINER_STOPPED_EVENT
		if stopped && event.ContainerId == container {
			return nil
		}
	}
}

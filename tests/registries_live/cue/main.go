// Serves CUE's registry in memory on a free port of loopback and says on which.
// With --immutable its tags do not move; --version names the module.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

func main() {
	if slices.Contains(os.Args, "--version") {
		info, _ := debug.ReadBuildInfo()
		for _, module := range info.Deps {
			if module.Path == "cuelabs.dev/go/oci/ociregistry" {
				fmt.Println(module.Path, module.Version)
			}
		}
		return
	}
	config := &ocimem.Config{ImmutableTags: slices.Contains(os.Args, "--immutable")}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "listening on", listener.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(listener, ociserver.New(ocimem.NewWithConfig(config), nil)))
	os.Exit(1)
}

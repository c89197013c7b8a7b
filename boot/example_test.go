package boot_test

import (
	"context"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/boot"
	"github.com/daemonry/daemonry/spec"
)

func ExampleService_Run() {
	service := boot.Service{
		Args: []string{"serve"},
		Spec: spec.Service{Name: "shop", Description: "The shop",
			Ready: spec.Probe{Kind: spec.ProbeNotify}},
	}
	if len(os.Args) == 2 && boot.IsVerb(os.Args[1]) {
		os.Exit(service.Run(context.Background(), os.Args[1], os.Stdout, os.Stderr))
	}
	fmt.Println("serving")
	// Output: serving
}

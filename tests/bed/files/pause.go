// The container that holds a pod's namespaces: it reaps what is left to it, and waits to be told to end.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// kubeadm's upgrade health check runs "pause -v" and wants it to end.
	if len(os.Args) > 1 && os.Args[1] == "-v" {
		fmt.Println("pause.go of the kubectl-selfhost test bed")
		return
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

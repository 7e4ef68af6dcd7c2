package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/labstack/echo/v4"
)

// ceiling is a process with an Echo handler that does nothing: what one HTTP
// request costs on this machine.
type ceiling struct {
	*processes
	port int
}

func newCeiling(dir string) *ceiling {
	return &ceiling{processes: newProcesses(filepath.Join(dir, "echo"))}
}

func (c *ceiling) start(ctx context.Context) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	c.port = ports[0]
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := c.processes.start("echo", self, "serve-ceiling", c.addr()); err != nil {
		return err
	}
	return await(ctx, "echo", func() error { return call("POST", "http://"+c.addr()+"/", "", nil) })
}

func (c *ceiling) addr() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

func (c *ceiling) load(ctx context.Context, load Load) (Sample, error) {
	load.Addr = c.addr()
	load.Request = prepared(1, func(int) []byte { return post("/", "") })
	return load.Run(ctx)
}

// serveCeiling is that process.
func serveCeiling(addr string) error {
	e := echo.New()
	e.POST("/", func(c echo.Context) error {
		return c.JSONBlob(http.StatusOK, []byte(`{"group":"group:0000001","revision":12345,"key":"likes","value":12345,"counters":{"likes":12345}}`+"\n"))
	})
	server := &http.Server{Addr: addr, Handler: e, ReadHeaderTimeout: answerTimeout}
	return server.ListenAndServe()
}

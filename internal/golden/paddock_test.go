// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"sync"
	"testing"

	"paddock/internal/config"
	"paddock/internal/server"
)

// runPaddock starts the server of this module in this process, on a port that the system picks: the one in zoo.cfg may
// have been taken meanwhile by a connection of another test.
func (s *target) runPaddock(t testing.TB) {
	t.Helper()
	env := map[string]string{"SERVER_JVMFLAGS": s.jvm}
	cfg, err := config.Load(config.Source{File: s.cfg(), Env: func(name string) string { return env[name] }, Flags: map[string]string{"clientPort": "0"}})
	must(t, err)
	srv, err := server.New(cfg, server.Options{})
	must(t, err)
	s.addr = srv.ClientAddr().String()
	var once sync.Once
	s.stop = func(t testing.TB) {
		once.Do(func() {
			if err := srv.Close(); err != nil {
				t.Errorf("server: %v", err)
			}
		})
	}
}

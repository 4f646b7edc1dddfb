// SPDX-License-Identifier: Apache-2.0

package zk_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"paddock/zk"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := zk.Connect(ctx, "127.0.0.1:2181/app", zk.WithSessionTimeout(10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Create(ctx, "/config", []byte("v1"), zk.OpenACL, 0)
	if err != nil && !errors.Is(err, zk.ErrNodeExists) {
		log.Fatal(err)
	}
	data, stat, err := c.Get(ctx, "/config")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s at version %d\n", data, stat.Version)
}

// Follow one znode: read it, wait for the change, read it again.
func ExampleClient_GetWatch() {
	ctx := context.Background()
	c, err := zk.Connect(ctx, "127.0.0.1:2181")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for {
		data, _, changed, err := c.GetWatch(ctx, "/config")
		if errors.Is(err, zk.ErrConnectionLoss) {
			continue // a read can be repeated
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("now %s\n", data)
		if ev := <-changed; ev.Err != nil {
			log.Fatal(ev.Err) // the session is over
		}
	}
}

// Keep up with a whole tree.
func ExampleClient_AddWatch() {
	ctx := context.Background()
	c, err := zk.Connect(ctx, "127.0.0.1:2181")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	w, err := c.AddWatch(ctx, "/services", zk.Recursive)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	for ev := range w.Events() {
		switch {
		case ev.Type == zk.EventSession && ev.State == zk.Connected:
			fmt.Println("changes may have been missed: read the tree again")
		case ev.Type != zk.EventSession:
			fmt.Println(ev.Type, ev.Path)
		}
	}
}

// Change two znodes at once, or none.
func ExampleClient_Multi() {
	ctx := context.Background()
	c, err := zk.Connect(ctx, "127.0.0.1:2181")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Multi(ctx,
		zk.CheckOp("/leader", 7),
		zk.SetOp("/account/a", []byte("90"), 3),
		zk.SetOp("/account/b", []byte("110"), 5),
	)
	var e *zk.Error
	if errors.As(err, &e) && e.Code == zk.ErrBadVersion {
		fmt.Println("somebody was faster:", e.Path)
	}
}

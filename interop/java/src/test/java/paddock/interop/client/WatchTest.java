// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static paddock.interop.client.Client.bytes;
import static paddock.interop.client.Client.fails;

import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import paddock.interop.Server;

/** Watches of all kinds, how long they last, and how they survive a reconnect. */
class WatchTest {
    private static Server server;
    private Client zk;
    private Client writer;
    private String root;

    @BeforeAll
    static void start() throws Exception {
        server = Server.start("watch", "");
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
    }

    @BeforeEach
    void open(TestInfo info) throws Exception {
        zk = Client.open(server);
        writer = Client.open(server);
        root = "/" + info.getTestMethod().orElseThrow().getName();
        make(root);
    }

    @AfterEach
    void close() throws Exception {
        zk.close();
        writer.close();
    }

    private void make(String path) throws Exception {
        writer.create(path, bytes("0"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    /** Has everything the server has sent so far delivered: an event of a later change comes last. */
    private void fence() throws Exception {
        Events last = new Events();
        String path = root + "-fence";
        zk.exists(path, last);
        make(path);
        last.expect(EventType.NodeCreated, path);
        writer.delete(path, -1);
    }

    @Test
    void oneShotDataWatch() throws Exception {
        Events e = new Events();
        zk.getData(root, e, null);
        writer.setData(root, bytes("1"), -1);
        writer.setData(root, bytes("2"), -1);
        e.expect(EventType.NodeDataChanged, root);
        fence();
        e.expectNone();
        zk.getData(root, e, null);
        make(root + "/child");
        writer.delete(root + "/child", -1);
        writer.delete(root, -1);
        e.expect(EventType.NodeDeleted, root);
    }

    @Test
    void existsWatchOnAMissingNode() throws Exception {
        Events e = new Events();
        String path = root + "/later";
        assertNull(zk.exists(path, e));
        make(path);
        e.expect(EventType.NodeCreated, path);
        zk.exists(path, e);
        writer.setData(path, null, -1);
        e.expect(EventType.NodeDataChanged, path);
        // A failed getData leaves no watch.
        fails(Code.NONODE, () -> zk.getData(root + "/never", e, null));
        make(root + "/never");
        fence();
        e.expectNone();
    }

    @Test
    void childWatch() throws Exception {
        Events e = new Events();
        zk.getChildren(root, e);
        writer.setData(root, bytes("1"), -1);
        make(root + "/a");
        make(root + "/b");
        e.expect(EventType.NodeChildrenChanged, root);
        fence();
        e.expectNone();
        zk.getChildren(root + "/a", e);
        writer.delete(root + "/a", -1);
        e.expect(EventType.NodeDeleted, root + "/a");
    }

    @Test
    void persistentWatchStays() throws Exception {
        Events e = new Events();
        zk.addWatch(root, e, AddWatchMode.PERSISTENT);
        writer.setData(root, bytes("1"), -1);
        e.expect(EventType.NodeDataChanged, root);
        make(root + "/a");
        e.expect(EventType.NodeChildrenChanged, root);
        writer.setData(root + "/a", bytes("1"), -1);
        writer.delete(root + "/a", -1);
        e.expect(EventType.NodeChildrenChanged, root);
        writer.delete(root, -1);
        e.expect(EventType.NodeDeleted, root);
        make(root);
        e.expect(EventType.NodeCreated, root);
    }

    @Test
    void recursiveWatchSeesTheSubtree() throws Exception {
        Events e = new Events();
        zk.addWatch(root, e, AddWatchMode.PERSISTENT_RECURSIVE);
        make(root + "/a");
        make(root + "/a/b");
        writer.setData(root + "/a/b", bytes("1"), -1);
        writer.delete(root + "/a/b", -1);
        writer.delete(root + "/a", -1);
        writer.setData(root, bytes("1"), -1);
        e.expect(EventType.NodeCreated, root + "/a");
        e.expect(EventType.NodeCreated, root + "/a/b");
        e.expect(EventType.NodeDataChanged, root + "/a/b");
        e.expect(EventType.NodeDeleted, root + "/a/b");
        e.expect(EventType.NodeDeleted, root + "/a");
        e.expect(EventType.NodeDataChanged, root);
        fence();
        e.expectNone();
    }

    @Test
    void multiTellsEachChange() throws Exception {
        Events e = new Events();
        zk.addWatch(root, e, AddWatchMode.PERSISTENT_RECURSIVE);
        writer.multi(java.util.List.of(
                Op.create(root + "/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.setData(root + "/a", bytes("x"), 0),
                Op.delete(root + "/a", 1)));
        e.expect(EventType.NodeCreated, root + "/a");
        e.expect(EventType.NodeDataChanged, root + "/a");
        e.expect(EventType.NodeDeleted, root + "/a");
    }

    @Test
    void removedWatchesAreSilent() throws Exception {
        Events data = new Events();
        Events child = new Events();
        Events persistent = new Events();
        zk.getData(root, data, null);
        zk.getChildren(root, child);
        zk.addWatch(root, persistent, AddWatchMode.PERSISTENT);
        zk.removeWatches(root, data, WatcherType.Data, false);
        data.expect(EventType.DataWatchRemoved, root);
        zk.removeAllWatches(root, WatcherType.Children, false);
        child.expect(EventType.ChildWatchRemoved, root);
        fails(Code.NOWATCHER, () -> zk.removeAllWatches(root + "/none", WatcherType.Any, false));
        writer.setData(root, bytes("1"), -1);
        persistent.expect(EventType.NodeDataChanged, root);
        make(root + "/a");
        persistent.expect(EventType.NodeChildrenChanged, root);
        fence();
        data.expectNone();
        child.expectNone();
        zk.removeWatches(root, persistent, WatcherType.Persistent, false);
        persistent.expect(EventType.PersistentWatchRemoved, root);
        writer.setData(root, bytes("2"), -1);
        fence();
        persistent.expectNone();
    }

    @Test
    void recursiveWatchCanBeRemoved() throws Exception {
        Events e = new Events();
        zk.addWatch(root, e, AddWatchMode.PERSISTENT_RECURSIVE);
        zk.removeWatches(root, e, WatcherType.PersistentRecursive, false);
        e.expect(EventType.PersistentWatchRemoved, root);
        make(root + "/a");
        fence();
        e.expectNone();
    }

    @Test
    void eventComesBeforeTheData() throws Exception {
        for (int i = 1; i <= 200; i++) {
            int[] told = {0};
            zk.getData(root, ev -> told[0]++, null);
            writer.setData(root, bytes("" + i), -1);
            java.util.concurrent.CompletableFuture<Integer> atReply = new java.util.concurrent.CompletableFuture<>();
            // Callbacks and watchers run on one thread, in the order of arrival.
            zk.getData(root, false, (rc, path, ctx, data, stat) ->
                    atReply.complete(stat.getVersion() << 1 | told[0]), null);
            int got = atReply.get(30, java.util.concurrent.TimeUnit.SECONDS);
            assertEquals((got >> 1) == i ? 1 : 0, got & 1, "new data without its event, round " + i);
        }
    }

    @Test
    void watchesAreSetAgainAfterARestart() throws Exception {
        try (Server own = Server.start("watch-restart", "")) {
            Client c = Client.open(own);
            Client w = Client.open(own);
            for (String p : new String[] {"/data", "/changed", "/gone", "/kids", "/keep", "/tree"}) {
                w.create(p, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            }
            Events data = new Events();
            Events exists = new Events();
            Events kids = new Events();
            Events keep = new Events();
            Events tree = new Events();
            c.getData("/data", data, null);
            c.exists("/later", exists);
            c.getChildren("/kids", kids);
            c.addWatch("/keep", keep, AddWatchMode.PERSISTENT);
            c.addWatch("/tree", tree, AddWatchMode.PERSISTENT_RECURSIVE);
            long id = c.getSessionId();
            c.forgetStates();
            w.forgetStates();
            own.stop();
            c.awaitState(KeeperState.Disconnected);
            own.start();
            c.awaitState(KeeperState.SyncConnected);
            w.awaitState(KeeperState.SyncConnected);
            assertEquals(id, c.getSessionId());
            c.exists("/", false); // behind the setWatches of the reconnect
            w.setData("/data", bytes("1"), -1);
            data.expect(EventType.NodeDataChanged, "/data");
            w.create("/later", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            exists.expect(EventType.NodeCreated, "/later");
            w.create("/kids/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            kids.expect(EventType.NodeChildrenChanged, "/kids");
            w.setData("/keep", bytes("1"), -1);
            w.setData("/keep", bytes("2"), -1);
            keep.expect(EventType.NodeDataChanged, "/keep");
            keep.expect(EventType.NodeDataChanged, "/keep");
            w.create("/tree/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            tree.expect(EventType.NodeCreated, "/tree/a");
            c.close();
            w.close();
        }
    }
}

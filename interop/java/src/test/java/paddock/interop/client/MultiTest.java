// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static paddock.interop.client.Client.bytes;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.Transaction;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import paddock.interop.Server;

/** Several operations in one step, all or none; several reads at once. */
class MultiTest {
    private static Server server;
    private Client zk;
    private String root;

    @BeforeAll
    static void start() throws Exception {
        server = Server.start("multi", "");
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
    }

    @BeforeEach
    void open(TestInfo info) throws Exception {
        zk = Client.open(server);
        root = "/" + info.getTestMethod().orElseThrow().getName();
        zk.create(root, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    @AfterEach
    void close() throws Exception {
        zk.close();
    }

    private static Op create(String path, CreateMode mode) {
        return Op.create(path, bytes("d"), Ids.OPEN_ACL_UNSAFE, mode);
    }

    @Test
    void allTypesOfResult() throws Exception {
        List<OpResult> r = zk.multi(List.of(
                create(root + "/a", CreateMode.PERSISTENT),
                create(root + "/s-", CreateMode.PERSISTENT_SEQUENTIAL),
                create(root + "/c", CreateMode.CONTAINER),
                Op.check(root + "/a", 0),
                Op.setData(root + "/a", bytes("new"), 0),
                create(root + "/a/below", CreateMode.EPHEMERAL),
                Op.delete(root + "/a/below", -1)));
        assertEquals(root + "/a", assertInstanceOf(OpResult.CreateResult.class, r.get(0)).getPath());
        assertEquals(root + "/s-0000000001", assertInstanceOf(OpResult.CreateResult.class, r.get(1)).getPath());
        assertEquals(root + "/c", assertInstanceOf(OpResult.CreateResult.class, r.get(2)).getPath());
        assertInstanceOf(OpResult.CheckResult.class, r.get(3));
        assertEquals(1, assertInstanceOf(OpResult.SetDataResult.class, r.get(4)).getStat().getVersion());
        assertInstanceOf(OpResult.CreateResult.class, r.get(5));
        assertInstanceOf(OpResult.DeleteResult.class, r.get(6));
        assertEquals("new", zk.text(root + "/a"));
        // One step has one zxid.
        assertEquals(zk.exists(root + "/a", false).getCzxid(), zk.exists(root + "/c", false).getCzxid());
    }

    @Test
    void aFailureUndoesAll() throws Exception {
        Events events = new Events();
        zk.exists(root + "/a", events);
        KeeperException e = Assertions.assertThrows(KeeperException.class, () -> zk.multi(List.of(
                create(root + "/a", CreateMode.PERSISTENT),
                Op.setData(root, bytes("x"), 0),
                Op.check(root, 0),
                create(root + "/b", CreateMode.PERSISTENT))));
        assertEquals(Code.BADVERSION, e.code());
        List<OpResult> r = e.getResults();
        assertEquals(4, r.size());
        int[] want = {0, 0, Code.BADVERSION.intValue(), Code.RUNTIMEINCONSISTENCY.intValue()};
        for (int i = 0; i < want.length; i++) {
            assertEquals(want[i], assertInstanceOf(OpResult.ErrorResult.class, r.get(i)).getErr(), "result " + i);
        }
        assertEquals(List.of(), zk.getChildren(root, false));
        assertEquals(0, zk.exists(root, false).getVersion());
        assertEquals(0, zk.exists(root, false).getCversion());
        events.expectNone();
        zk.create(root + "/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        events.expect(EventType.NodeCreated, root + "/a");
    }

    @Test
    void seesItsOwnChanges() throws Exception {
        zk.multi(List.of(
                create(root + "/a", CreateMode.PERSISTENT),
                create(root + "/a/b", CreateMode.PERSISTENT),
                Op.setData(root + "/a/b", bytes("1"), 0),
                Op.setData(root + "/a/b", bytes("2"), 1),
                Op.delete(root + "/a/b", 2),
                Op.delete(root + "/a", 0)));
        assertEquals(List.of(), zk.getChildren(root, false));
        assertEquals(2, zk.exists(root, false).getCversion());
    }

    @Test
    void async() throws Exception {
        CompletableFuture<String> done = new CompletableFuture<>();
        zk.multi(List.of(create(root + "/a", CreateMode.PERSISTENT), Op.delete(root + "/none", -1)),
                (rc, path, ctx, results) -> done.complete(rc + " " + results.size()), null);
        assertEquals(Code.NONODE.intValue() + " 2", done.get(30, TimeUnit.SECONDS));
        Transaction t = zk.transaction();
        t.create(root + "/t", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL).setData(root + "/t", bytes("2"), 0);
        assertEquals(2, t.commit().size());
        assertEquals("2", zk.text(root + "/t"));
    }

    @Test
    void empty() throws Exception {
        assertEquals(List.of(), zk.multi(List.of()));
    }

    @Test
    void reads() throws Exception {
        zk.create(root + "/a", bytes("one"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create(root + "/b", bytes("two"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        List<OpResult> r = zk.multi(List.of(
                Op.getData(root + "/a"), Op.getChildren(root), Op.getData(root + "/none"), Op.getData(root + "/b")));
        OpResult.GetDataResult a = assertInstanceOf(OpResult.GetDataResult.class, r.get(0));
        assertArrayEquals(bytes("one"), a.getData());
        assertEquals(zk.exists(root + "/a", false), a.getStat());
        List<String> kids = assertInstanceOf(OpResult.GetChildrenResult.class, r.get(1)).getChildren();
        assertTrue(kids.contains("a") && kids.contains("b") && kids.size() == 2);
        assertEquals(Code.NONODE.intValue(), assertInstanceOf(OpResult.ErrorResult.class, r.get(2)).getErr());
        assertArrayEquals(bytes("two"), assertInstanceOf(OpResult.GetDataResult.class, r.get(3)).getData());
    }

    @Test
    void readersSeeAllOrNothing() throws Exception {
        Client reader = Client.open(server);
        zk.create(root + "/x", bytes("0"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create(root + "/y", bytes("0"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        CompletableFuture<Void> written = new CompletableFuture<>();
        for (int i = 1; i <= 500; i++) {
            int last = i;
            zk.multi(List.of(Op.setData(root + "/x", bytes("" + i), -1), Op.setData(root + "/y", bytes("" + i), -1)),
                    (rc, path, ctx, results) -> {
                        if (last == 500) {
                            written.complete(null);
                        }
                    }, null);
        }
        String seen = "";
        while (!written.isDone()) {
            List<OpResult> r = reader.multi(List.of(Op.getData(root + "/x"), Op.getData(root + "/y")));
            seen = new String(((OpResult.GetDataResult) r.get(0)).getData());
            assertEquals(seen, new String(((OpResult.GetDataResult) r.get(1)).getData()));
        }
        assertNotEquals("", seen);
        reader.close();
        assertEquals("500", zk.text(root + "/y"));
        assertNull(zk.exists(root + "/z", false));
    }
}

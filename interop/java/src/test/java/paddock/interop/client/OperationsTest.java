// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static paddock.interop.client.Client.bytes;
import static paddock.interop.client.Client.fails;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AsyncCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import paddock.interop.Server;

/** Every operation of the client, called to be waited for and called back. */
class OperationsTest {
    private static Server server;
    private Client zk;
    private String root;

    @BeforeAll
    static void start() throws Exception {
        server = Server.start("operations", "");
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
    }

    @BeforeEach
    void open(TestInfo info) throws Exception {
        zk = Client.open(server);
        root = "/" + info.getTestMethod().orElseThrow().getName();
        make(root, "");
    }

    @AfterEach
    void close() throws Exception {
        zk.close();
    }

    private void make(String path, String data) throws Exception {
        zk.create(path, bytes(data), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    @Test
    void dataAndVersions() throws Exception {
        String path = root + "/a";
        Stat made = new Stat();
        assertEquals(path, zk.create(path, bytes("one"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, made));
        assertEquals(0, made.getVersion());
        assertEquals(made.getCzxid(), made.getMzxid());
        assertEquals(made.getCzxid(), made.getPzxid());
        assertEquals(3, made.getDataLength());
        assertEquals(made, zk.exists(path, false));

        Stat set = zk.setData(path, bytes("two!"), 0);
        assertEquals(1, set.getVersion());
        assertTrue(set.getMzxid() > made.getMzxid());
        assertEquals(made.getCzxid(), set.getCzxid());
        Stat read = new Stat();
        assertArrayEquals(bytes("two!"), zk.getData(path, false, read));
        assertEquals(set, read);

        fails(Code.BADVERSION, () -> zk.setData(path, bytes("x"), 0));
        fails(Code.BADVERSION, () -> zk.delete(path, 0));
        fails(Code.NODEEXISTS, () -> make(path, "again"));
        zk.delete(path, 1);
        fails(Code.NONODE, () -> zk.delete(path, -1));
        fails(Code.NONODE, () -> zk.getData(path, false, null));
        fails(Code.NONODE, () -> zk.setData(path, null, -1));
        fails(Code.NONODE, () -> zk.getChildren(path, false));
        fails(Code.NONODE, () -> make(path + "/below", ""));
        assertNull(zk.exists(path, false));
    }

    @Test
    void nullAndEmptyDataAreKeptApart() throws Exception {
        zk.create(root + "/null", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        make(root + "/empty", "");
        assertNull(zk.getData(root + "/null", false, null));
        assertEquals(0, zk.getData(root + "/empty", false, null).length);
        assertEquals(0, zk.exists(root + "/null", false).getDataLength());
    }

    @Test
    void children() throws Exception {
        Set<String> names = new HashSet<>();
        for (int i = 0; i < 50; i++) {
            make(root + "/c" + i, "");
            names.add("c" + i);
        }
        make(root + "/c0/deep", "");
        Stat stat = new Stat();
        List<String> got = zk.getChildren(root, false, stat);
        assertEquals(names, new HashSet<>(got));
        assertEquals(50, got.size());
        assertEquals(50, stat.getNumChildren());
        assertEquals(50, stat.getCversion());
        assertEquals(51, zk.getAllChildrenNumber(root));
        fails(Code.NOTEMPTY, () -> zk.delete(root + "/c0", -1));
        zk.delete(root + "/c1", -1);
        Stat after = zk.exists(root, false);
        assertEquals(49, after.getNumChildren());
        assertEquals(51, after.getCversion());
        assertTrue(after.getPzxid() > stat.getPzxid());
        assertEquals(0, after.getVersion());
    }

    @Test
    void sequentialNamesGrow() throws Exception {
        List<String> made = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            made.add(zk.create(root + "/s-", null, Ids.OPEN_ACL_UNSAFE,
                    i % 2 == 0 ? CreateMode.PERSISTENT_SEQUENTIAL : CreateMode.EPHEMERAL_SEQUENTIAL));
        }
        List<String> sorted = new ArrayList<>(made);
        Collections.sort(sorted);
        assertEquals(sorted, made);
        assertEquals(20, new HashSet<>(made).size());
        assertEquals(root + "/s-0000000000", made.get(0));
        assertEquals(root + "/s-0000000019", made.get(19));
        // The number is the parent's count of changes: a deletion does not give it back.
        zk.delete(made.get(19), -1);
        String next = zk.create(root + "/", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL);
        assertEquals(root + "/0000000020", next);
    }

    @Test
    void ephemerals() throws Exception {
        Client other = Client.open(server);
        String path = root + "/e";
        other.create(path, null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        other.create(root + "/f", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        assertEquals(other.getSessionId(), zk.exists(path, false).getEphemeralOwner());
        fails(Code.NOCHILDRENFOREPHEMERALS, () -> make(path + "/below", ""));
        assertEquals(Set.of(path, root + "/f"), new HashSet<>(other.getEphemerals()));
        assertEquals(List.of(path), other.getEphemerals(path));
        assertEquals(List.of(), zk.getEphemerals(root));
        other.close();
        assertNull(zk.exists(path, false));
        assertEquals(0, zk.getAllChildrenNumber(root));
    }

    @Test
    void asyncCallsAnswerInOrder() throws Exception {
        List<String> order = Collections.synchronizedList(new ArrayList<>());
        CompletableFuture<Void> done = new CompletableFuture<>();
        String p = root + "/n";
        zk.create(p, bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
                (AsyncCallback.StringCallback) (rc, path, ctx, name) -> order.add("create " + rc + " " + name), null);
        zk.create(root + "/m", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
                (rc, path, ctx, name, stat) -> order.add("create2 " + rc + " " + stat.getVersion()), null);
        zk.setData(p, bytes("22"), 0, (rc, path, ctx, stat) -> order.add("set " + rc + " " + stat.getVersion()), null);
        zk.setData(p, bytes("x"), 0, (rc, path, ctx, stat) -> order.add("set " + rc + " " + stat), null);
        zk.getData(p, false, (rc, path, ctx, data, stat) -> order.add("get " + rc + " " + new String(data)), null);
        zk.exists(p, false, (rc, path, ctx, stat) -> order.add("exists " + rc + " " + stat.getDataLength()), null);
        zk.getChildren(root, false,
                (AsyncCallback.ChildrenCallback) (rc, path, ctx, kids) -> order.add("kids " + rc + " " + kids.size()), null);
        zk.getChildren(root, false,
                (AsyncCallback.Children2Callback) (rc, path, ctx, kids, stat) ->
                        order.add("kids2 " + rc + " " + stat.getNumChildren()), null);
        zk.getAllChildrenNumber(root, (rc, path, ctx, n) -> order.add("all " + rc + " " + n), null);
        zk.getEphemerals(root, (rc, ctx, paths) -> order.add("ephemerals " + rc + " " + paths.size()), null);
        zk.setACL(p, Ids.READ_ACL_UNSAFE, 0, (rc, path, ctx, stat) -> order.add("setACL " + rc + " " + stat.getAversion()), null);
        zk.getACL(p, new Stat(), (rc, path, ctx, acl, stat) -> order.add("getACL " + rc + " " + acl.size()), null);
        zk.sync(root, (rc, path, ctx) -> order.add("sync " + rc + " " + path), null);
        zk.delete(p, -1, (rc, path, ctx) -> order.add("delete " + rc), null);
        zk.delete(p, -1, (rc, path, ctx) -> {
            order.add("delete " + rc);
            done.complete(null);
        }, null);
        done.get(30, TimeUnit.SECONDS);
        assertEquals(List.of(
                "create 0 " + p, "create2 0 0", "set 0 1", "set -103 null", "get 0 22", "exists 0 2", "kids 0 2",
                "kids2 0 2", "all 0 2", "ephemerals 0 0", "setACL 0 1", "getACL 0 1", "sync 0 " + root,
                "delete 0", "delete -101"), order);
    }

    @Test
    void pipelinedWritesAllLandInOrder() throws Exception {
        make(root + "/x", "");
        int n = 2000;
        List<Integer> versions = Collections.synchronizedList(new ArrayList<>());
        CompletableFuture<Void> done = new CompletableFuture<>();
        for (int i = 0; i < n; i++) {
            zk.setData(root + "/x", bytes("v" + i), -1, (rc, path, ctx, stat) -> {
                versions.add(rc == 0 ? stat.getVersion() : -1);
                if (versions.size() == n) {
                    done.complete(null);
                }
            }, null);
        }
        done.get(60, TimeUnit.SECONDS);
        for (int i = 0; i < n; i++) {
            assertEquals(i + 1, versions.get(i));
        }
        assertEquals("v" + (n - 1), zk.text(root + "/x"));
    }

    @Test
    void bigNodesAreExact() throws Exception {
        byte[] big = new byte[1_000_000];
        new Random(7).nextBytes(big);
        zk.create(root + "/big", big, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        assertArrayEquals(big, zk.getData(root + "/big", false, null));
        big[500_000]++;
        zk.setData(root + "/big", big, 0);
        assertArrayEquals(big, zk.getData(root + "/big", false, null));
    }

    @Test
    void oversizeRequestCostsTheConnectionOnly() throws Exception {
        long session = zk.getSessionId();
        fails(Code.CONNECTIONLOSS, () ->
                zk.create(root + "/huge", new byte[2_000_000], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        assertFalse(zk.existsAtLast(root + "/huge"));
        assertEquals(session, zk.getSessionId());
    }

    @Test
    void syncComesBack() throws Exception {
        zk.sync(root);
        assertNotNull(zk.exists(root, false));
    }

    @Test
    void aclVersions() throws Exception {
        Stat stat = new Stat();
        List<ACL> acl = zk.getACL(root, stat);
        assertEquals(Ids.OPEN_ACL_UNSAFE, acl);
        assertEquals(0, stat.getAversion());
        assertEquals(1, zk.setACL(root, Ids.OPEN_ACL_UNSAFE, 0).getAversion());
        fails(Code.BADVERSION, () -> zk.setACL(root, Ids.OPEN_ACL_UNSAFE, 0));
        fails(Code.INVALIDACL, () -> zk.setACL(root, List.of(), -1));
        fails(Code.INVALIDACL, () ->
                zk.create(root + "/x", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
    }

    @Test
    void whoAmI() throws Exception {
        assertEquals("ip", zk.whoAmI().get(0).getAuthScheme());
        zk.addAuthInfo("digest", bytes("ann:secret"));
        assertTrue(zk.whoAmI().stream().anyMatch(c ->
                c.getAuthScheme().equals("digest") && c.getUser().equals("ann")));
    }

    @Test
    void chroot() throws Exception {
        make(root + "/jail", "");
        Client in = Client.open(server.address() + root + "/jail", Client.TIMEOUT_MS);
        assertEquals("/a", in.create("/a", bytes("x"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        assertEquals("/s0000000001",
                in.create("/s", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL));
        assertEquals("x", zk.text(root + "/jail/a"));
        assertEquals(2, in.getChildren("/", false).size());
        assertEquals(2, in.getAllChildrenNumber("/"));
        Events events = new Events();
        in.getData("/a", events, null);
        zk.setData(root + "/jail/a", bytes("y"), -1);
        events.expect(org.apache.zookeeper.Watcher.Event.EventType.NodeDataChanged, "/a");
        in.close();
        assertEquals(List.of("a"), zk.getChildren(root + "/jail", false));
    }

    @Test
    void systemNodes() throws Exception {
        assertTrue(zk.getChildren("/", false).contains("zookeeper"));
        assertEquals(Set.of("config", "quota"), new HashSet<>(zk.getChildren("/zookeeper", false)));
        fails(Code.BADARGUMENTS, () -> zk.delete("/zookeeper", -1));
        zk.getConfig(false, null);
    }

    @Test
    void unicodePaths() throws Exception {
        make(root + "/ключ-鍵", "значение");
        assertEquals(List.of("ключ-鍵"), zk.getChildren(root, false));
        assertEquals("значение", zk.text(root + "/ключ-鍵"));
    }
}

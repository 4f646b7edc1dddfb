// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static paddock.interop.client.Client.bytes;
import static paddock.interop.client.Client.fails;

import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import paddock.interop.Server;
import paddock.interop.Wait;

/** Containers and TTL nodes: made, and taken away by the server. */
class LifetimeTest {
    private static Server server;

    @BeforeAll
    static void start() throws Exception {
        server = Server.start("lifetime", "-Dznode.container.checkIntervalMs=300", "extendedTypesEnabled=true");
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
    }

    @Test
    void emptyContainerIsRemovedOnceItHadAChild() throws Exception {
        try (Client c = Client.open(server)) {
            c.create("/never", null, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
            c.create("/used", null, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
            c.create("/used/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            Events e = new Events();
            c.exists("/used", e);
            c.delete("/used/a", -1);
            e.expect(EventType.NodeDeleted, "/used");
            assertNotNull(c.exists("/never", false));
        }
    }

    @Test
    void ttlNodeIsRemovedWhenOldAndEmpty() throws Exception {
        try (Client c = Client.open(server)) {
            Stat stat = new Stat();
            c.create("/short", bytes("x"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 500);
            c.create("/long", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 600_000);
            String parent = c.create("/parent-", null, Ids.OPEN_ACL_UNSAFE,
                    CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, stat, 500);
            assertEquals(10, parent.length() - "/parent-".length());
            c.create(parent + "/child", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            Wait.until("removal of /short", () -> c.exists("/short", false) == null);
            assertNotNull(c.exists("/long", false));
            assertNotNull(c.exists(parent, false));
            c.delete(parent + "/child", -1);
            Wait.until("removal of " + parent, () -> c.exists(parent, false) == null);
        }
    }

    @Test
    void setDataProlongsATtl() throws Exception {
        try (Client c = Client.open(server)) {
            c.create("/fresh", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 1500);
            long until = System.nanoTime() + 3_000_000_000L;
            Wait.until("three seconds", () -> {
                c.setData("/fresh", null, -1);
                return System.nanoTime() > until;
            });
            Wait.until("removal", () -> c.exists("/fresh", false) == null);
        }
    }

    @Test
    void ttlIsRefusedWhereItIsNotEnabled() throws Exception {
        try (Server plain = Server.start("no-ttl", ""); Client c = Client.open(plain)) {
            fails(Code.UNIMPLEMENTED, () ->
                    c.create("/t", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 500));
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static paddock.interop.client.Client.bytes;

import java.util.List;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import paddock.interop.Server;
import paddock.interop.Wait;

/** The life of a session: negotiated, kept, resumed, closed, expired, kept over a restart. */
class SessionTest {
    private static Server server;

    @BeforeAll
    static void start() throws Exception {
        server = Server.start("session", "");
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
    }

    private static void ephemeral(Client c, String path) throws Exception {
        c.create(path, null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
    }

    @Test
    void timeoutIsNegotiated() throws Exception {
        try (Client low = Client.open(server.address(), 600);
                Client high = Client.open(server.address(), 1_000_000);
                Client within = Client.open(server.address(), 5000)) {
            assertEquals(2 * Server.TICK_MS, low.getSessionTimeout());
            assertEquals(20 * Server.TICK_MS, high.getSessionTimeout());
            assertEquals(5000, within.getSessionTimeout());
        }
    }

    @Test
    void idleSessionIsKeptByPings() throws Exception {
        try (Client c = Client.open(server.address(), 1000)) {
            ephemeral(c, "/idle");
            long until = System.nanoTime() + 4_000_000_000L;
            Wait.until("four seconds", () -> System.nanoTime() > until);
            assertNotNull(c.exists("/idle", false));
        }
    }

    @Test
    void expiryRemovesEphemeralsAndTellsTheWatchers() throws Exception {
        try (Client watcher = Client.open(server)) {
            Client dying = Client.open(server.address(), 1000);
            ephemeral(dying, "/dying1");
            ephemeral(dying, "/dying2");
            Events e = new Events();
            watcher.exists("/dying1", e);
            long begin = System.nanoTime();
            dying.cutOff();
            e.expect(EventType.NodeDeleted, "/dying1");
            long ms = (System.nanoTime() - begin) / 1_000_000;
            assertTrue(ms >= 300, "expired after " + ms + " ms");
            assertNull(watcher.exists("/dying2", false));

            Client back = Client.resume(server.address(), 1000, dying.getSessionId(), dying.getSessionPasswd());
            back.awaitState(KeeperState.Expired);
            back.close();
        }
    }

    @Test
    void closeRemovesEphemeralsInOneStep() throws Exception {
        try (Client watcher = Client.open(server)) {
            Client c = Client.open(server);
            watcher.create("/closing", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            for (int i = 0; i < 20; i++) {
                ephemeral(c, "/closing/" + i);
            }
            c.close();
            assertEquals(List.of(), watcher.getChildren("/closing", false));
            Client back = Client.resume(server.address(), 1000, c.getSessionId(), c.getSessionPasswd());
            back.awaitState(KeeperState.Expired);
            back.close();
        }
    }

    @Test
    void resumeTakesTheSessionOver() throws Exception {
        Client first = Client.open(server.address(), 10_000);
        ephemeral(first, "/moved");
        Client second = Client.resume(server.address(), 10_000, first.getSessionId(), first.getSessionPasswd());
        second.awaitState(KeeperState.SyncConnected);
        assertEquals(first.getSessionId(), second.getSessionId());
        assertEquals(second.getSessionId(), second.exists("/moved", false).getEphemeralOwner());
        first.cutOff();
        second.setData("/moved", bytes("x"), -1);
        second.close();
        try (Client c = Client.open(server)) {
            assertNull(c.exists("/moved", false));
        }
    }

    @Test
    void wrongPasswordIsRefused() throws Exception {
        try (Client owner = Client.open(server)) {
            ephemeral(owner, "/mine");
            Client thief = Client.resume(server.address(), 5000, owner.getSessionId(), new byte[16]);
            thief.awaitState(KeeperState.Expired);
            thief.close();
            // The attempt may cost the owner its connection, as on the reference, but not its session.
            assertTrue(owner.existsAtLast("/mine"));
        }
    }

    @Test
    void sessionsOutliveARestart() throws Exception {
        for (boolean kill : new boolean[] {false, true}) {
            try (Server own = Server.start("session-restart", "")) {
                Client c = Client.open(own.address(), 10_000);
                c.addAuthInfo("digest", bytes("ann:pw"));
                ephemeral(c, "/e");
                c.create("/locked", bytes("x"), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
                long id = c.getSessionId();
                c.forgetStates();
                if (kill) {
                    own.kill();
                } else {
                    own.stop();
                }
                c.awaitState(KeeperState.Disconnected);
                own.start();
                c.awaitState(KeeperState.SyncConnected);
                assertEquals(id, c.getSessionId());
                assertEquals(id, c.exists("/e", false).getEphemeralOwner());
                assertEquals("x", c.text("/locked"), "auth is given again");
                c.close();
                try (Client d = Client.open(own)) {
                    assertNull(d.exists("/e", false));
                }
            }
        }
    }

    @Test
    void deadSessionExpiresAfterARestart() throws Exception {
        try (Server own = Server.start("session-dead", "")) {
            Client c = Client.open(own.address(), 1000);
            ephemeral(c, "/e");
            own.kill();
            c.cutOff();
            own.start();
            try (Client d = Client.open(own)) {
                Wait.until("expiry", () -> d.exists("/e", false) == null);
            }
        }
    }

    @Test
    void manySessionsAtOnce() throws Exception {
        Client[] all = new Client[50];
        for (int i = 0; i < all.length; i++) {
            all[i] = Client.open(server);
            ephemeral(all[i], "/many" + i);
        }
        for (int i = 0; i < all.length; i++) {
            assertEquals(all[i].getSessionId(), all[(i + 1) % all.length].exists("/many" + i, false).getEphemeralOwner());
        }
        for (Client c : all) {
            c.close();
        }
        try (Client c = Client.open(server)) {
            assertTrue(c.getChildren("/", false).stream().noneMatch(n -> n.startsWith("many")));
        }
    }
}

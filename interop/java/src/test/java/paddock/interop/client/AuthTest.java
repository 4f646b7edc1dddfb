// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static paddock.interop.client.Client.bytes;
import static paddock.interop.client.Client.fails;

import java.util.Arrays;
import java.util.List;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import paddock.interop.Server;

/** The schemes world, auth, digest, ip and super, and what each permission allows. */
class AuthTest {
    private static Server server;

    @BeforeAll
    static void start() throws Exception {
        String digest = DigestAuthenticationProvider.generateDigest("super:secret");
        server = Server.start("auth", "-Dzookeeper.DigestAuthenticationProvider.superDigest=" + digest);
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
    }

    private static Client as(String user) throws Exception {
        Client c = Client.open(server);
        c.addAuthInfo("digest", bytes(user));
        return c;
    }

    private static List<ACL> digest(int perms, String user) throws Exception {
        return Arrays.asList(new ACL(perms, new Id("digest", DigestAuthenticationProvider.generateDigest(user))));
    }

    @Test
    void creatorAll() throws Exception {
        try (Client ann = as("ann:a"); Client bob = as("bob:b"); Client nobody = Client.open(server)) {
            ann.create("/ann", bytes("x"), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            assertEquals(digest(Perms.ALL, "ann:a"), ann.getACL("/ann", new Stat()));
            for (Client c : new Client[] {bob, nobody}) {
                fails(Code.NOAUTH, () -> c.getData("/ann", false, null));
                fails(Code.NOAUTH, () -> c.setData("/ann", null, -1));
                fails(Code.NOAUTH, () -> c.getChildren("/ann", false));
                fails(Code.NOAUTH, () -> c.create("/ann/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
                fails(Code.NOAUTH, () -> c.setACL("/ann", Ids.OPEN_ACL_UNSAFE, -1));
                fails(Code.NOAUTH, () -> c.getACL("/ann", new Stat()));
                fails(Code.NOAUTH, () -> c.exists("/ann", false));
            }
            try (Client again = as("ann:a"); Client wrong = as("ann:b")) {
                assertEquals("x", again.text("/ann"));
                fails(Code.NOAUTH, () -> wrong.getData("/ann", false, null));
            }
        }
    }

    @Test
    void eachPermissionAllowsItsOwn() throws Exception {
        try (Client owner = as("owner:o"); Client guest = as("guest:g")) {
            int[] perms = {Perms.READ, Perms.WRITE, Perms.CREATE, Perms.DELETE, Perms.ADMIN};
            for (int p : perms) {
                String path = "/perm" + p;
                owner.create(path, bytes("x"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
                owner.create(path + "/old", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
                List<ACL> acl = Arrays.asList(
                        new ACL(Perms.ALL, new Id("digest", DigestAuthenticationProvider.generateDigest("owner:o"))),
                        new ACL(p, new Id("digest", DigestAuthenticationProvider.generateDigest("guest:g"))));
                owner.setACL(path, acl, 0);
                expect(p == Perms.READ, () -> guest.getData(path, false, null));
                expect(p == Perms.READ, () -> guest.getChildren(path, false));
                expect(p == Perms.WRITE, () -> guest.setData(path, bytes("y"), -1));
                expect(p == Perms.CREATE, () ->
                        guest.create(path + "/new", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
                expect(p == Perms.DELETE, () -> guest.delete(path + "/old", -1));
                expect(p == Perms.READ || p == Perms.ADMIN, () -> guest.getACL(path, new Stat()));
                expect(p == Perms.ADMIN, () -> guest.setACL(path, acl, -1));
            }
        }
    }

    private static void expect(boolean allowed, org.junit.jupiter.api.function.Executable e) throws Exception {
        if (allowed) {
            org.junit.jupiter.api.Assertions.assertDoesNotThrow(e);
        } else {
            fails(Code.NOAUTH, e);
        }
    }

    @Test
    void digestsAreHiddenWithoutAdmin() throws Exception {
        try (Client owner = as("hid:h"); Client nobody = Client.open(server)) {
            List<ACL> acl = Arrays.asList(
                    new ACL(Perms.ALL, new Id("auth", "")), new ACL(Perms.READ, Ids.ANYONE_ID_UNSAFE));
            owner.create("/hidden", null, acl, CreateMode.PERSISTENT);
            assertEquals("hid:x", nobody.getACL("/hidden", new Stat()).get(0).getId().getId());
            assertEquals(DigestAuthenticationProvider.generateDigest("hid:h"),
                    owner.getACL("/hidden", new Stat()).get(0).getId().getId());
        }
    }

    @Test
    void superMayAll() throws Exception {
        try (Client ann = as("ann:a"); Client root = as("super:secret"); Client fake = as("super:wrong")) {
            ann.create("/forbidden", bytes("x"), digest(Perms.ALL, "ann:a"), CreateMode.PERSISTENT);
            fails(Code.NOAUTH, () -> fake.getData("/forbidden", false, null));
            assertEquals("x", root.text("/forbidden"));
            root.setACL("/forbidden", Ids.OPEN_ACL_UNSAFE, -1);
            root.delete("/forbidden", -1);
        }
    }

    @Test
    void ipScheme() throws Exception {
        try (Client c = Client.open(server)) {
            c.create("/here", null, Arrays.asList(new ACL(Perms.ALL, new Id("ip", "127.0.0.0/8"))), CreateMode.PERSISTENT);
            c.create("/there", null, Arrays.asList(new ACL(Perms.ALL, new Id("ip", "10.1.2.3"))), CreateMode.PERSISTENT);
            assertNotNull(c.exists("/here", false));
            c.getData("/here", false, null);
            fails(Code.NOAUTH, () -> c.getData("/there", false, null));
            fails(Code.INVALIDACL, () -> c.create("/bad", null,
                    Arrays.asList(new ACL(Perms.ALL, new Id("ip", "300.1.1.1"))), CreateMode.PERSISTENT));
            fails(Code.INVALIDACL, () -> c.create("/bad", null,
                    Arrays.asList(new ACL(Perms.ALL, new Id("nosuch", "x"))), CreateMode.PERSISTENT));
        }
    }

    @Test
    void unknownSchemeFailsTheConnection() throws Exception {
        try (Client c = Client.open(server)) {
            c.addAuthInfo("nosuch", bytes("x"));
            c.awaitState(KeeperState.AuthFailed);
        }
    }

    @Test
    void twoIdentitiesAtOnce() throws Exception {
        try (Client both = as("one:1")) {
            both.addAuthInfo("digest", bytes("two:2"));
            both.create("/two", bytes("x"), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            assertEquals(2, both.getACL("/two", new Stat()).size());
            try (Client one = as("one:1"); Client two = as("two:2")) {
                assertEquals("x", one.text("/two"));
                assertEquals("x", two.text("/two"));
            }
        }
    }
}

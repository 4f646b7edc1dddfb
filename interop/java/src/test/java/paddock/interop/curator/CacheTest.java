// SPDX-License-Identifier: Apache-2.0
package paddock.interop.curator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache.StartMode;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.zookeeper.CreateMode;
import org.junit.jupiter.api.Test;
import paddock.interop.Wait;

/** Caches that follow the tree, and nodes that are kept in it. */
@SuppressWarnings("deprecation")
class CacheTest extends Base {
    private static void change(CuratorFramework c, String root) throws Exception {
        for (int i = 0; i < 30; i++) {
            c.create().forPath(root + "/n" + i, new byte[] {1});
        }
        for (int i = 0; i < 30; i += 2) {
            c.setData().forPath(root + "/n" + i, new byte[] {2});
        }
        for (int i = 0; i < 30; i += 3) {
            c.delete().forPath(root + "/n" + i);
        }
    }

    @Test
    void pathChildrenCacheFollows() throws Exception {
        CuratorFramework c = client();
        c.create().forPath(root);
        PathChildrenCache cache = new PathChildrenCache(client(), root, true);
        cache.start(StartMode.BUILD_INITIAL_CACHE);
        change(c, root);
        Wait.until("20 children", () -> cache.getCurrentData().size() == 20
                && cache.getCurrentData().stream().filter(d -> d.getData()[0] == 2).count() == 10);
        cache.close();
    }

    @Test
    void treeCacheFollows() throws Exception {
        CuratorFramework c = client();
        c.create().forPath(root);
        CountDownLatch ready = new CountDownLatch(1);
        TreeCache cache = TreeCache.newBuilder(client(), root).build();
        cache.getListenable().addListener((f, e) -> {
            if (e.getType() == org.apache.curator.framework.recipes.cache.TreeCacheEvent.Type.INITIALIZED) {
                ready.countDown();
            }
        });
        cache.start();
        assertTrue(ready.await(WAIT, TimeUnit.SECONDS));
        change(c, root);
        c.create().creatingParentsIfNeeded().forPath(root + "/n1/a/b/c", new byte[] {3});
        Wait.until("20 children", () -> cache.getCurrentChildren(root).size() == 20);
        Wait.until("the deep one", () -> cache.getCurrentData(root + "/n1/a/b/c") != null);
        cache.close();
    }

    @Test
    void curatorCacheFollowsByARecursiveWatch() throws Exception {
        CuratorFramework c = client();
        c.create().forPath(root);
        AtomicInteger created = new AtomicInteger();
        AtomicInteger changed = new AtomicInteger();
        AtomicInteger deleted = new AtomicInteger();
        CountDownLatch ready = new CountDownLatch(1);
        CuratorCache cache = CuratorCache.build(client(), root);
        cache.listenable().addListener(CuratorCacheListener.builder()
                .forCreates(n -> created.incrementAndGet())
                .forChanges((o, n) -> changed.incrementAndGet())
                .forDeletes(n -> deleted.incrementAndGet())
                .forInitialized(ready::countDown).build());
        cache.start();
        assertTrue(ready.await(WAIT, TimeUnit.SECONDS));
        change(c, root);
        Wait.until("10 deletions", () -> deleted.get() == 10);
        Wait.until("21 nodes", () -> cache.size() == 21);
        assertTrue(created.get() >= 21 && changed.get() <= 15, created + " created, " + changed + " changed");
        assertArrayEquals(new byte[] {2}, cache.get(root + "/n2").orElseThrow().getData());
        cache.close();
    }

    @Test
    void cachesCatchUpAfterARestart() throws Exception {
        CuratorFramework c = client();
        c.create().forPath(root);
        CuratorCache cache = CuratorCache.build(client(), root);
        NodeCache node = new NodeCache(client(), root);
        cache.start();
        node.start(true);
        server.kill();
        server.start();
        Wait.until("a write", () -> {
            try {
                c.setData().forPath(root, new byte[] {9});
                return true;
            } catch (org.apache.zookeeper.KeeperException.ConnectionLossException e) {
                return false;
            }
        });
        c.create().forPath(root + "/after");
        Wait.until("node cache", () -> node.getCurrentData() != null && node.getCurrentData().getData()[0] == 9);
        Wait.until("cache", () -> cache.get(root + "/after").isPresent());
        cache.close();
        node.close();
    }

    @Test
    void persistentWatcher() throws Exception {
        CuratorFramework c = client();
        Set<String> seen = java.util.concurrent.ConcurrentHashMap.newKeySet();
        PersistentWatcher w = new PersistentWatcher(client(), root, true);
        CountDownLatch reset = new CountDownLatch(1);
        w.getResetListenable().addListener(reset::countDown);
        w.getListenable().addListener(e -> seen.add(e.getType() + " " + e.getPath()));
        w.start();
        assertTrue(reset.await(WAIT, TimeUnit.SECONDS));
        c.create().creatingParentsIfNeeded().forPath(root + "/a/b");
        c.delete().forPath(root + "/a/b");
        Wait.until("events", () -> seen.containsAll(Set.of(
                "NodeCreated " + root, "NodeCreated " + root + "/a",
                "NodeCreated " + root + "/a/b", "NodeDeleted " + root + "/a/b")));
        w.close();
    }

    @Test
    void persistentNodeComesBack() throws Exception {
        CuratorFramework c = client();
        PersistentNode n = new PersistentNode(client(), CreateMode.EPHEMERAL, false, root + "/p", new byte[] {1});
        n.start();
        assertTrue(n.waitForInitialCreate(WAIT, TimeUnit.SECONDS));
        long owner = c.checkExists().forPath(root + "/p").getEphemeralOwner();
        assertNotEquals(0, owner);
        c.delete().forPath(root + "/p");
        Wait.until("the node again", () -> c.checkExists().forPath(root + "/p") != null);
        n.setData(new byte[] {2});
        Wait.until("new data", () -> c.getData().forPath(root + "/p")[0] == 2);
        n.close();
        Wait.until("no node", () -> c.checkExists().forPath(root + "/p") == null);
    }

    @Test
    void persistentTtlNodeLivesWhileItIsTouched() throws Exception {
        CuratorFramework c = client();
        try (PersistentTtlNode n = new PersistentTtlNode(client(), root + "/ttl", 1200, new byte[] {1})) {
            n.start();
            assertTrue(n.waitForInitialCreate(WAIT, TimeUnit.SECONDS));
            long until = System.nanoTime() + 3_000_000_000L;
            Wait.until("three seconds", () -> System.nanoTime() > until);
            assertEquals(1, c.getData().forPath(root + "/ttl")[0]);
        }
        Wait.until("removal", () -> c.checkExists().forPath(root + "/ttl") == null);
    }
}

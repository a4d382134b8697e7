/** What is read often, kept in Redis under `project:<id>` and `gemini:analysis:scene:<id>`. */

import { redis, using } from "./dependencies.js";
import { latestAnalyses, listProjects, type Analysis, type Project } from "./database.js";
import { faultActive } from "./faults.js";

export const PROJECT_TTL_S = 15 * 60;
export const ANALYSIS_TTL_S = 60 * 60;

export const projectKey = (id: number): string => `project:${id}`;
export const analysisKey = (sceneId: number): string => `gemini:analysis:scene:${sceneId}`;

/** How long a key is to live, in ms. The fault is a mistake in that of projects. */
function lifetime(key: string, ttlSeconds: number): number {
  return faultActive("short-ttls") && key.startsWith("project:") ? 1 : 1000 * ttlSeconds;
}

class CacheService {
  async get<T>(key: string): Promise<T | null> {
    const text = await using("redis", () => redis.get(key));
    return text === null ? null : (JSON.parse(text) as T);
  }

  async set(key: string, value: unknown, ttlSeconds: number): Promise<void> {
    if (faultActive("cold-cache")) {
      return; // nothing but a warm-up fills it
    }
    const ttl = lifetime(key, ttlSeconds);
    await using("redis", () => redis.set(key, JSON.stringify(value), "PX", ttl));
  }

  /** Write many values in one round trip. */
  async setMany(entries: Iterable<[string, unknown]>, ttlSeconds: number): Promise<void> {
    const pipeline = redis.pipeline();
    for (const [key, value] of entries) {
      pipeline.set(key, JSON.stringify(value), "PX", lifetime(key, ttlSeconds));
    }
    await using("redis", () => pipeline.exec());
  }

  async getMany<T>(keys: string[]): Promise<(T | null)[]> {
    const texts = await using("redis", () => redis.mget(keys));
    return texts.map((text) => (text === null ? null : (JSON.parse(text) as T)));
  }
}

export const cacheService = new CacheService();

export interface Warmed {
  projects: number;
  analyses: number;
}

/** Load the critical projects and the latest analyses into the cache. */
export async function warmCache(limit: number): Promise<Warmed> {
  const [projects, analyses] = await Promise.all([listProjects(limit), latestAnalyses(limit)]);
  const projectEntries = projects.map((p: Project): [string, unknown] => [projectKey(p.id), p]);
  const analysisEntries = analyses.map((a: Analysis): [string, unknown] => [
    analysisKey(a.scene_id),
    a,
  ]);
  await cacheService.setMany(projectEntries, PROJECT_TTL_S);
  await cacheService.setMany(analysisEntries, ANALYSIS_TTL_S);
  return { projects: projects.length, analyses: analyses.length };
}

/** Logs of hypha on Node beside those of hypha on Deno, as in `log_node_test.ts`. */
import { testNodeBeside } from "./log_node_cases.ts";

testNodeBeside("ours");

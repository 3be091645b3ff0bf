/* The activations with exact zeros: sparsemax (Martins and Astudillo 2016), entmax (Peters, Niculae, Martins 2019) and softmax
 * over the k largest logits. How far below the largest logit a key can have a weight; the weights themselves: list/solve.h.
 * reference.py: ACTIVATIONS["sparsemax"]. */

#define FOV_ACTIVATION_ENTRY_sparsemax {.reach = FOV_SOLVER(reach_sparsemax), .solve = FOV_SOLVER(sparsemax)}
#define FOV_ACTIVATION_ENTRY_entmax15 {.reach = FOV_SOLVER(reach_entmax15), .solve = FOV_SOLVER(entmax15)}
#define FOV_ACTIVATION_ENTRY_entmax {.reach = FOV_SOLVER(reach_entmax), .solve = FOV_SOLVER(entmax)}
#define FOV_ACTIVATION_ENTRY_topk {.reach = FOV_SOLVER(reach_topk), .solve = FOV_SOLVER(softmax)}

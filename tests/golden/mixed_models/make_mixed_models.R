# Mixed models of simulated listening tests by lme4, lmerTest, pbkrtest and emmeans: ratings and results, which
# tests/analysis/statistics/test_mixed_inference.py compares with ours. All ratings are SIMULATED.
#
#   Rscript make_mixed_models.R        writes mixed_models.json beside the script; the versions are in it
#
# Cases: balanced; unbalanced (a third of the ratings missing at random); zero (complete, item:condition is estimated
# as 0); zero_unbalanced (200 ratings, listener:condition is estimated as 0); planned (every listener rates half the items, whole pages);
# item_sets (one condition was rated on the first half of the items only); replicated (two ratings of every cell,
# with a random effect of the cell).
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest); library(emmeans); library(jsonlite)})
emm_options(lmerTest.limit = 5000, pbkrtest.limit = 5000)
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.02, rhoend = 1e-10, maxfun = 1e5),
                       check.conv.singular = "ignore")

draw <- function(listeners, items, conditions, sd, replicates = 1, effect = 6) {
  d <- expand.grid(replicate = 1:replicates, condition = 1:conditions, item = 1:items, listener = 1:listeners)
  part <- function(index, s) rnorm(max(index), 0, s)[index]
  d$score <- 50 + effect * d$condition + part(d$listener, sd[1]) + part(d$item, sd[2]) +
    part((d$listener - 1) * conditions + d$condition, sd[3]) + part((d$item - 1) * conditions + d$condition, sd[4]) +
    part(((d$listener - 1) * items + d$item - 1) * conditions + d$condition, if (replicates > 1) 5 else 0) +
    rnorm(nrow(d), 0, sd[5])
  d$score <- round(pmin(100, pmax(0, d$score)))
  d
}
ordinary <- c(7, 5, 6, 6, 9)
set.seed(26)
cases <- list()
cases$balanced <- draw(8, 6, 4, ordinary)
d <- draw(10, 7, 4, ordinary); cases$unbalanced <- d[sort(sample(nrow(d), round(2 / 3 * nrow(d)))), ]
formula <- score ~ factor(condition) + (1 | listener) + (1 | item) + (1 | listener:condition) + (1 | item:condition)
singular <- function(d, effect) VarCorr(suppressMessages(lmer(formula, d, control = control)))[[effect]][1] == 0
repeat {d <- draw(8, 6, 4, c(7, 5, 6, 0, 12)); if (singular(d, "item:condition")) break}
cases$zero <- d
repeat {
  d <- draw(10, 7, 4, c(7, 5, 0, 5, 12)); d <- d[sort(sample(nrow(d), 200)), ]
  if (singular(d, "listener:condition")) break
}
cases$zero_unbalanced <- d
d <- draw(12, 8, 4, ordinary); cases$planned <- d[(d$item - d$listener) %% 8 < 4, ]
d <- draw(9, 8, 4, ordinary); cases$item_sets <- d[d$condition < 4 | d$item <= 4, ]
cases$replicated <- draw(7, 5, 3, ordinary, replicates = 2)

anovas <- function(m) {
  # differences of the marginal means to the first condition's; anova(type = 3) takes other contrasts, on which
  # Satterthwaite's degrees of freedom depend in unbalanced designs (by 0.3 % for item_sets)
  w <- suppressMessages(emmeans(m, ~condition))@linfct
  l <- sweep(w[-1, ], 2, w[1, ])
  one <- function(ddf) {a <- contestMD(m, l, ddf = ddf)
    list(f = a[["F value"]], df = a[["NumDF"]], df_error = a[["DenDF"]], p = a[["Pr(>F)"]])}
  list(satterthwaite = one("Satterthwaite"), kenward_roger = one("Kenward-Roger"))
}
means <- function(m) {
  one <- function(ddf) {
    e <- suppressMessages(emmeans(m, ~condition, lmer.df = ddf))
    single <- as.data.frame(confint(pairs(e, adjust = "none")))
    tukey <- as.data.frame(confint(pairs(e, adjust = "tukey")))
    list(means = as.data.frame(e)[, c("condition", "emmean", "SE", "df", "lower.CL", "upper.CL")],
         pairs = cbind(single[, c("contrast", "estimate", "SE", "df", "lower.CL", "upper.CL")],
                       p = summary(pairs(e, adjust = "none"))$p.value,
                       p_holm = summary(pairs(e, adjust = "holm"))$p.value,
                       p_tukey = summary(pairs(e, adjust = "tukey"))$p.value,
                       tukey_low = tukey$lower.CL, tukey_high = tukey$upper.CL))
  }
  list(satterthwaite = one("satterthwaite"), kenward_roger = one("kenward-roger"))
}
described <- function(m) {
  v <- as.data.frame(VarCorr(m))
  c(list(variances = setNames(as.list(v$vcov), v$grp), omnibus = anovas(m)), means(m))
}
pair <- function(d, first, second) {
  w <- merge(d[d$condition == first, ], d[d$condition == second, ], by = c("listener", "item"))
  w$difference <- w$score.x - w$score.y
  m <- lmer(difference ~ 1 + (1 | listener) + (1 | item), w, control = control)
  kr <- pbkrtest::vcovAdj(m)[1, 1]
  s <- coef(summary(m))
  list(a = first, b = second, difference = s[1, 1], se = s[1, 2], df = s[1, 3], p = s[1, 5],
       se_kr = sqrt(kr), df_kr = pbkrtest::Lb_ddf(1, vcov(m), pbkrtest::vcovAdj(m)))
}

found <- list()
for (name in names(cases)) {
  d <- cases[[name]]
  for (f in c("listener", "item", "condition")) d[[f]] <- factor(d[[f]])
  entry <- list(ratings = cases[[name]])
  if (name == "replicated") {
    material <- lmer(score ~ condition + (1 | listener) + (1 | item) + (1 | listener:condition) +
                     (1 | item:condition) + (1 | listener:item:condition), d, control = control)
    d <- aggregate(score ~ listener + item + condition, d, mean)
  } else {
    material <- lmer(score ~ condition + (1 | listener) + (1 | item) + (1 | listener:condition) +
                     (1 | item:condition), d, control = control)
  }
  entry$material <- described(material)
  if (name != "item_sets") {
    entry$items <- described(lmer(score ~ condition * item + (1 | listener) + (1 | listener:condition), d,
                                  control = control, contrasts = list(condition = "contr.sum", item = "contr.sum")))
  }
  entry$pairs <- apply(combn(levels(d$condition), 2), 2, function(p) pair(d, p[1], p[2]))
  found[[name]] <- entry
}
versions <- sapply(c("lme4", "lmerTest", "pbkrtest", "emmeans"), function(p) as.character(packageVersion(p)))
writeLines(toJSON(list(made_by = "make_mixed_models.R", simulated = TRUE, r = R.version.string,
                       packages = as.list(versions), cases = found),
                  digits = 10, auto_unbox = TRUE, dataframe = "columns", null = "null"), "mixed_models.json")

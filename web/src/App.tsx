import { useMemo } from "react";

import { LinkEntry } from "./access/LinkEntry";
import { I18nProvider } from "./i18n/I18nProvider";
import { ClubPage } from "./pages/ClubPage";
import { ClubsPage } from "./pages/ClubsPage";
import { CourtPage } from "./pages/CourtPage";
import { MatchPage } from "./pages/MatchPage";
import { NotFoundPage } from "./pages/ProblemPage";
import { useAddress } from "./router/navigation";
import { parseRoute, type Route } from "./router/routes";
import { Layout } from "./ui/Layout";

export function App() {
  const address = useAddress();
  const route = useMemo(() => {
    const { pathname, search } = new URL(address, window.location.origin);
    return parseRoute(pathname, search);
  }, [address]);
  return (
    <I18nProvider>
      <Layout>
        <LinkEntry club={route.page === "clubs" || route.page === "lost" ? null : route.club}>
          <Page route={route} />
        </LinkEntry>
      </Layout>
    </I18nProvider>
  );
}

function Page({ route }: { readonly route: Route }) {
  switch (route.page) {
    case "clubs":
      return <ClubsPage />;
    case "club":
      return <ClubPage slug={route.club} />;
    case "court":
      return <CourtPage club={route.club} court={route.court} date={route.date} />;
    case "match":
      return <MatchPage {...route} />;
    case "lost":
      return <NotFoundPage />;
  }
}
